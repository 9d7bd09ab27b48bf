"""A space that is a plain grid, on which searchers meet the test functions of continuous optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import Gene, Indices, SearchSpace
from nas.search_spaces.trellis import Edge, Trellis


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
    input_size = in_channels = num_classes = 1

    def __init__(self, genes: int, levels: int) -> None:
        self.levels = levels
        self.dimensions = genes

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """x0, x1, ... with their level as value."""
        return tuple(Gene(f"x{d}", tuple(range(self.levels))) for d in range(self.dimensions))

    def exists(self, indices: Indices) -> NDArray[np.bool_]:
        """All of them."""
        return np.ones(indices.shape, dtype=bool)

    def costs_of(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """Zeros."""
        return {"params": np.zeros(len(indices), np.int64), "macs": np.zeros(len(indices), np.int64)}

    def trellises(self) -> Sequence[Trellis]:
        """One state, one layer a gene."""
        layers = tuple(tuple(Edge(0, 0, ((d, i),), 0, 0) for i in range(self.levels)) for d in range(self.dimensions))
        return [Trellis(layers, (), 0, 0)]

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
