"""Ask and tell: the face of every searcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np

from nas.errors import UsageError
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.searchers.history import History, Problem, Trial
from nas.searchers.strategy import Strategy

__all__ = ["Builder", "Searcher", "Trial"]


@final
class Searcher:
    """Searches one space for one set of goals; sees architectures and metrics, never weights.

    Its state is the told trials: a new searcher with the same arguments that is told the same batches asks the same.

    Args:
        space: Where to search.
        objectives: What to improve, at least one; the first is the one that scalar strategies use.
        constraints: Bounds. Every asked architecture meets those on `params` and `macs`; those on measured metrics
            order the trials: feasible before infeasible, then less violation before more (Deb et al. 2002).
        seed: Not negative; with the number of told batches it fixes every draw.
        strategy: How to search.

    Raises:
        UsageError: No objective, one metric twice, or a negative seed.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        *,
        seed: int,
        strategy: Strategy,
    ) -> None:
        if seed < 0:
            raise UsageError(f"the seed must not be negative, got {seed}")
        self.history = History(Problem(space, objectives, constraints))
        self.seed = seed
        self.strategy = strategy

    def ask(self, n: int) -> list[Architecture]:
        """At most `n` distinct architectures to evaluate next, none of them told before.

        Asking again before a tell gives the same answer. Fewer come back, even none, when no new member is found.

        Raises:
            UsageError: `n` is below 1.
            InfeasibleBudget: No member meets the budgets.
        """
        if n < 1:
            raise UsageError(f"ask for at least 1 architecture, got {n}")
        rng = np.random.default_rng((self.seed, self.history.batch))
        return self.history.problem.space.architectures(self.strategy.propose(self.history, rng, n))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in one batch of evaluated architectures, failed ones too.

        Raises:
            UsageError: An architecture of another space, or a trial that lacks a metric of the search.
        """
        new = self.history.add(trials)
        candidates = np.concatenate([self.history.population, new])
        self.history.population = self.strategy.survivors(self.history, candidates)


class Builder(Protocol):
    """What `nas.searchers.get` gives: a searcher's constructor without its strategy."""

    def __call__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        *,
        seed: int,
    ) -> Searcher:
        """The searcher of these goals."""
