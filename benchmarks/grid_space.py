"""A space that is a plain grid, on which searchers meet the test functions of continuous optimisation."""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import CostTerm, Gene, Indices, SearchSpace
from nas.task import ImageClassification


@final
class GridSpace(SearchSpace):
    """`genes` variables with `levels` values each; every gene always exists, and nothing costs anything.

    Args:
        genes: Number of variables.
        levels: Values of each.
    """

    name = "grid"
    version = 1
    preset = "custom"
    task = ImageClassification(1, 1, 1)

    def __init__(self, genes: int, levels: int) -> None:
        self.levels = levels
        self.dimensions = genes

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """x0, x1, ... with their level as value."""
        return tuple(Gene(f"x{d}", tuple(range(self.levels)), f"x{d}") for d in range(self.dimensions))

    @property
    def cost_terms(self) -> tuple[CostTerm, ...]:
        """None."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Name, version and the two sizes."""
        return {"name": self.name, "version": self.version, "genes": self.dimensions, "levels": self.levels}


def unit(indices: Indices, levels: int) -> NDArray[np.float64]:
    """[N, D]: grid positions as numbers in 0..1."""
    return indices / (levels - 1)


def zdt(problem: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, 2]: ZDT1, 2 or 3 (Zitzler, Deb, Thiele 2000) of points [N, D] in 0..1, both minimised."""
    first = x[:, 0]
    g = 1 + 9 * x[:, 1:].mean(axis=1)
    ratio = first / g
    if problem == 1:
        shape = 1 - np.sqrt(ratio)
    elif problem == 2:
        shape = 1 - ratio**2
    else:
        shape = 1 - np.sqrt(ratio) - ratio * np.sin(10 * np.pi * first)
    return np.stack([first, g * shape], axis=1)
