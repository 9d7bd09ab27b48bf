"""The test functions of continuous optimisation, on grids that searchers can search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import Indices


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
