"""What differs between searchers: which told trials are kept, and which members are asked next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.search_spaces import Indices
from nas.searchers.history import History

Draw = Callable[[np.random.Generator, int], Indices]

ROUNDS = 8  # how often a draw is repeated while members are missing
FEWEST, MOST = 16, 4096  # rows that a repeated draw asks for, doubling from round to round


class Strategy(ABC):
    """A way to search: frozen settings and two functions of the history, no state of its own.

    So a search is its seed and its told trials, and telling the same batches again continues it.
    """

    @abstractmethod
    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The new population: positions out of `candidates`, the old population and the new trials that did not fail.

        Args:
            history: Everything told, the new batch included.
            candidates: Positions in the history, oldest first within each part.
        """

    @abstractmethod
    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """[<= n, D] distinct members inside the budgets that were not told; see `distinct`."""


def distinct(history: History, rng: np.random.Generator, n: int, *draws: Draw) -> Indices:
    """At most `n` rows that differ from each other and from all told ones and meet the budgets.

    Each draw is repeated a bounded number of times for what is missing, asking for more rows every time, before the
    next one is tried. Fewer than `n` come back where even the last draw finds nothing new.

    Args:
        history: The told trials.
        rng: Source of all draws.
        n: Number of rows wanted.
        *draws: `draw(rng, k)` gives k rows in canonical form.
    """
    chosen: dict[bytes, NDArray[np.int16]] = {}
    for draw in draws:
        for attempt in range(ROUNDS):
            missing = n - len(chosen)
            if missing == 0:
                break
            rows = draw(rng, missing if attempt == 0 else min(max(missing, FEWEST) << attempt, max(MOST, missing)))
            for row in rows[history.problem.within(rows)]:
                key = row.tobytes()
                if len(chosen) < n and key not in chosen and not history.knows(key):
                    chosen[key] = row
    width = len(history.problem.space.genes)
    return np.array(list(chosen.values()), dtype=np.int16).reshape(len(chosen), width)


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """Refuse a setting outside [low, high].

    Raises:
        UsageError: It is outside.
    """
    if not low <= value or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"in {low}..{high}"
        raise UsageError(f"{name} must be {limits}, got {value}")
