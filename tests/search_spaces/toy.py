"""Spaces of a few genes and cost terms, for what no family has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.search_spaces import CostTerm, Gene, SearchSpace, tabulated
from nas.task import ImageClassification


class Toy(SearchSpace):
    """Any genes with any terms; its JSON names them and no more."""

    name = "toy"
    version = 1
    preset = "custom"
    task = ImageClassification(1, 1, 1)
    genes: tuple[Gene, ...] = ()
    cost_terms: tuple[CostTerm, ...] = ()

    def __init__(self, genes: Sequence[Gene], terms: Sequence[CostTerm] = ()) -> None:
        self.genes = tuple(genes)
        self.cost_terms = tuple(terms)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "genes": list(self.names)}


def nested() -> Toy:
    """Genes under genes under genes, a conjunction, a gene that costs when another is absent, and a constant."""
    genes = {
        gene.name: gene
        for gene in (
            Gene("operation", ("none", "pool", "conv"), "operation"),
            Gene("kernel", (3, 5, 7), "kernel", {"operation": ("conv", "pool")}),
            Gene("free", (1, 2, 3), "width"),
            Gene("groups", (1, 2), "groups", {"operation": ("conv",), "kernel": (5, 7)}),
            Gene("pair", (0, 1, 2), "hidden", {"free": (2, 3), "groups": (2,)}),
        )
    }
    take = lambda *names: [genes[name] for name in names]
    rng = np.random.default_rng(0)
    terms = [
        tabulated((), lambda _: (100, 1000)),
        tabulated(take("operation", "kernel"), lambda chosen: (7 * int(chosen["kernel"]), int(chosen["kernel"]) ** 2)),
        CostTerm(("pair",), np.array([[5, 1], [1, 9], [4, 4], [50, 60]])),  # absent costs most
        CostTerm(("free", "groups"), rng.integers(0, 99, (4, 3, 2))),
    ]
    return Toy(list(genes.values()), terms)
