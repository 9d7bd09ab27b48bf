"""Regularised evolution (Real et al., AAAI 2019): the oldest dies, not the worst."""

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
class Evolution(Strategy):
    """Ageing evolution on the first objective: the winner of a random tournament has a mutated child.

    All children of one ask have parents from the same population, so a batch of 1 is the published algorithm.

    Args:
        population: Members kept, the last told (P).
        tournament: Members drawn with replacement for each child, of which the best is the parent (S).
        mutation_rate: Chance of each gene to change; at least one gene changes, so 0 is the published single change.
        offspring: Children of one parent before the next tournament; what `Assisted` chooses from.
    """

    population: int = 50
    tournament: int = 10
    mutation_rate: float = 0.0
    offspring: int = 1

    def __post_init__(self) -> None:
        check_range("population", self.population, 1)
        check_range("tournament", self.tournament, 1)
        check_range("mutation_rate", self.mutation_rate, 0, 1)
        check_range("offspring", self.offspring, 1)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The youngest."""
        return candidates[-self.population :]

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """Random members until the population is full, then mutated winners of tournaments."""
        problem, members = history.problem, history.population
        if len(members) < self.population:
            return distinct(history, rng, n, problem.sample)
        place = np.empty(len(members), dtype=np.int64)
        place[np.lexsort((history.values[members, 0], history.violation[members]))] = np.arange(len(members))

        def children(source: np.random.Generator, k: int) -> Indices:
            drawn = source.integers(len(members), size=(-(-k // self.offspring), self.tournament))
            winners = np.take_along_axis(drawn, place[drawn].argmin(axis=1)[:, None], axis=1)[:, 0]
            parents = members[np.repeat(winners, self.offspring)[:k]]
            return problem.space.mutate_indices(history.rows[parents], source, self.mutation_rate)

        return distinct(history, rng, n, children, problem.sample)
