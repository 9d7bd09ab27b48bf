"""Spaces of a few genes that belong to no family, for what searchers promise on any space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from nas.search_spaces import CostTerm, Gene, Indices, SearchSpace, Value, tabulated
from nas.task import ImageClassification


@final
class MadeSpace(SearchSpace):
    """Any genes with any terms; its JSON names them and no more, so that nothing reads it back.

    Args:
        genes: Every decision.
        terms: What they cost.
    """

    name = "made"
    version = 1
    preset = "custom"
    task = ImageClassification(1, 1, 1)
    genes: tuple[Gene, ...] = ()
    cost_terms: tuple[CostTerm, ...] = ()

    def __init__(self, genes: Sequence[Gene], terms: Sequence[CostTerm] = ()) -> None:
        self.genes = tuple(genes)
        self.cost_terms = tuple(terms)

    def to_json(self) -> dict[str, Any]:
        """Name, version and the names of the genes."""
        return {"name": self.name, "version": self.version, "genes": list(self.names)}


def grid(genes: int, levels: int) -> MadeSpace:
    """`genes` variables x0, x1, ... with `levels` values each; all of them always exist, and nothing costs anything."""
    return MadeSpace([Gene(f"x{d}", tuple(range(levels)), f"x{d}") for d in range(genes)])


def layered() -> MadeSpace:
    """14,760 members: a size of the input, a depth, and for each layer up to it an operation and a width."""
    sizes = Gene("size", (1, 2), "size")
    depth = Gene("depth", (1, 2, 3, 4), "depth")
    genes, terms = [sizes, depth], [tabulated([], lambda _: (100, 1_000))]
    for i in range(4):
        there = {"depth": tuple(d for d in depth.choices if int(d) > i)}
        operation = Gene(f"layer{i}.operation", ("narrow", "plain", "wide"), "operation", there)
        width = Gene(f"layer{i}.width", (8, 12, 16), "width", there)
        genes += [operation, width]
        terms.append(tabulated([sizes, operation, width], lambda chosen: _layer_cost(*chosen.values())))
    return MadeSpace(genes, terms)


def _layer_cost(size: Value, operation: Value, width: Value) -> tuple[int, int]:
    params = int(width) ** 2 * {"narrow": 1, "plain": 3, "wide": 5}[str(operation)]
    return params, params * int(size) ** 2


def nested() -> MadeSpace:
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
    rng = np.random.default_rng(0)
    terms = [
        tabulated((), lambda _: (100, 1000)),
        tabulated(
            [genes["operation"], genes["kernel"]],
            lambda chosen: (7 * int(chosen["kernel"]), int(chosen["kernel"]) ** 2),
        ),
        CostTerm(("pair",), np.array([[5, 1], [1, 9], [4, 4], [50, 60]])),  # absent costs most
        CostTerm(("free", "groups"), rng.integers(0, 99, (4, 3, 2))),
    ]
    return MadeSpace(list(genes.values()), terms)


def members(space: SearchSpace) -> Indices:
    """[size, D] canonical rows of a small space, each once, found the slow way."""
    product = itertools.product(*(range(len(gene.choices)) for gene in space.genes))
    rows = np.array(list(product), dtype=np.int16).reshape(-1, len(space.genes))
    return np.unique(space.canonical(rows), axis=0)
