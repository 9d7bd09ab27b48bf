"""Random search, the baseline of every other searcher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import Indices
from nas.searchers.history import History
from nas.searchers.strategy import Strategy, distinct


@final
@dataclass(frozen=True)
class Random(Strategy):
    """New random members; learns nothing. `Problem.sample` says how they are distributed."""

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """Nobody: there are no parents."""
        return candidates[:0]

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """Random members that were not told."""
        return distinct(history, rng, n, history.problem.sample)
