"""Scores of many networks: ranks, and one ranking out of several.

What a proxy cannot score counts as its worst: NaN and both infinities rank below every number, equal among themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata


def ordered(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores [n] with what is not finite as minus infinity: ready to be compared, higher is better."""
    values = np.asarray(scores, dtype=np.float64)
    return np.where(np.isfinite(values), values, -np.inf)


def ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """[n] in 1..n, the best n; equal scores share the mean of theirs."""
    return np.asarray(rankdata(ordered(scores)), dtype=np.float64)


def aggregate(scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """One score out of several [n]: the sum of log(rank / n), as AZ-NAS and others combine them; higher is better."""
    columns = [ranks(column) for column in scores.values()]
    return np.asarray(sum(np.log(column / len(column)) for column in columns), dtype=np.float64)
