"""Local search: the untried neighbours of the best member, until all are tried (White, Nolen and Savani 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import Indices
from nas.searchers.history import History
from nas.searchers.strategy import Strategy, check_range, distinct


@final
@dataclass(frozen=True)
class LocalSearch(Strategy):
    """Random starts, then neighbours of the best on the first objective; a better one is the best from then on.

    Where all neighbours of the best are told it is a local optimum, and the next best goes on.

    Args:
        starts: Random members at first.
    """

    starts: int = 10

    def __post_init__(self) -> None:
        check_range("starts", self.starts, 1)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """All: each may have neighbours left."""
        return candidates

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """Neighbours in random order, those of the best member first."""
        problem, members = history.problem, history.population
        if len(history) < self.starts:
            return distinct(history, rng, n, problem.sample)
        order = members[np.lexsort((history.values[members, 0], history.violation[members]))]
        space, left = problem.space, iter(order)

        def neighbours(source: np.random.Generator, k: int) -> Indices:
            """Those of the next member that has any."""
            for member in left:
                (arch,) = space.architectures(history.rows[member][None])
                rows = space.indices(space.neighbours(arch))
                if not all(history.knows(row.tobytes()) for row in rows):
                    return rows[source.permutation(len(rows))]
            return np.empty((0, len(space.genes)), dtype=np.int16)

        return distinct(history, rng, n, neighbours, problem.sample)
