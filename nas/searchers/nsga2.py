"""EEEA-Net's search (Termritthikun et al. 2021): NSGA-II (Deb et al. 2002) with an early-exit first population."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.objectives import Constraint
from nas.search_spaces import Indices
from nas.searchers.history import History
from nas.searchers.pareto import best_first
from nas.searchers.strategy import Strategy, check_range, distinct


@final
@dataclass(frozen=True)
class NSGA2(Strategy):
    """Elitist search for a front: binary tournaments by rank and crowding, uniform crossover, mutation.

    Survival is (mu + lambda) over the population and the new batch, whatever its size. A trial that failed takes no
    place in the population, and the first population is drawn until it is full.

    Args:
        population: Members kept (mu; 40 in the paper).
        crossover_rate: Chance that a child mixes two parents instead of copying one.
        mutation_rate: Chance of each gene to change; at least one does. None: one over the number of genes.
        beta: Early exit: the first population is drawn among members of at most so many parameters, by construction
            instead of the paper's rejection. Children are not held to it. None: no limit. The paper: it saves time
            while searching, and the front is not better for it.
    """

    population: int = 40
    crossover_rate: float = 0.9
    mutation_rate: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        check_range("population", self.population, 2)
        check_range("crossover_rate", self.crossover_rate, 0, 1)
        check_range("mutation_rate", self.mutation_rate or 0.0, 0, 1)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The best by rank, then by crowding, best first.

        Of equals the newest stays: where many architectures have the same values, a population that keeps the oldest
        cannot drift among them.
        """
        oldest_first = np.sort(candidates)
        order = best_first(history.values[oldest_first], history.violation[oldest_first])
        return oldest_first[order[: self.population]]

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """The first population until it is full, then children of tournament winners."""
        problem = history.problem
        if len(history.population) < self.population:
            early = () if self.beta is None else (Constraint("params", "<=", self.beta),)
            return distinct(history, rng, n, lambda source, k: problem.sample(source, k, early), problem.sample)
        parents = history.rows[history.population]  # best first: a smaller position wins a tournament
        rate = 1 / len(problem.space.genes) if self.mutation_rate is None else self.mutation_rate

        def children(source: np.random.Generator, k: int) -> Indices:
            first, second = _winners(source, len(parents), k)
            crossed = source.random(k)[:, None] < self.crossover_rate
            mixed = problem.space.crossover_indices(parents[first], parents[second], source)
            return problem.space.mutate_indices(np.where(crossed, mixed, parents[first]), source, rate)

        return distinct(history, rng, n, children, problem.sample)


def _winners(rng: np.random.Generator, members: int, k: int) -> NDArray[np.int64]:
    """[2, k] positions that won a binary tournament; every member meets equally many opponents, one more or less.

    Rank and crowding are a total order here, so the smaller of two positions in it is the winner.
    """
    needed = 4 * k
    shuffles = rng.permuted(np.tile(np.arange(members), (-(-needed // members), 1)), axis=1)
    winners: NDArray[np.int64] = shuffles.reshape(-1)[:needed].reshape(2, k, 2).min(axis=2)
    return winners
