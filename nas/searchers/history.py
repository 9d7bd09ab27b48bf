"""What a search wants and what it was told, as arrays; everything a searcher may know."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.objectives import Constraint, Objective
from nas.search_spaces import COST_NAMES, Architecture, Indices, SearchSpace, budgets


@dataclass(frozen=True)
class Trial:
    """One evaluated architecture.

    Args:
        number: Its position in the ledger.
        arch: The architecture.
        metrics: What was measured; empty where the evaluation failed.
        batch: The ask that it answers, counted from 0.
    """

    number: int
    arch: Architecture
    metrics: Mapping[str, float]
    batch: int


@final
class Problem:
    """A space, what to improve in it, and the bounds.

    Args:
        space: Where to search.
        objectives: At least one; each metric once.
        constraints: Bounds; those on `COST_NAMES` metrics are budgets, the others are judged after an evaluation.

    Raises:
        UsageError: No objective, or one metric in two objectives.
    """

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
    ) -> None:
        metrics = [objective.metric for objective in objectives]
        if not metrics:
            raise UsageError("a search needs at least one objective, such as 'accuracy'")
        if len(set(metrics)) < len(metrics):
            raise UsageError(f"objectives {metrics} name a metric twice; name each once")
        self.space = space
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self.budgets = tuple(budgets(constraints))
        self.measured = tuple(c for c in constraints if c.metric not in COST_NAMES)

    def within(self, rows: Indices) -> NDArray[np.bool_]:
        """[N]: whether each row meets every budget."""
        inside = np.ones(len(rows), dtype=bool)
        if self.budgets and len(rows):
            costs = self.space.costs_of(rows)
            for budget in self.budgets:
                cost = costs[budget.metric]
                inside &= cost <= budget.bound if budget.sense == "<=" else cost >= budget.bound
        return inside

    def sample(self, rng: np.random.Generator, n: int, extra: tuple[Constraint, ...] = ()) -> Indices:
        """[n, D] random members inside the budgets and the `extra` ones, not necessarily distinct.

        Inside budgets they are uniform. Without any, genes are drawn
        independently: uniform members would nearly all have the largest depths, because those have by far the
        most members, and a first population without small networks cannot show a front.

        Raises:
            InfeasibleBudget: No member fits.
        """
        budgets = self.budgets + extra
        if not budgets:
            return self.space.sample_choices(rng, n)
        return self.space.feasible(budgets).sample(rng, n)


@final
class History:
    """The told trials of a problem, one row each, in the order they were told.

    Attributes:
        problem: What is searched.
        batch: How many batches were told.
        rows: int16 [N, D], choice positions.
        values: [N, M], objectives with their sign turned so that less is better; inf where the evaluation failed.
        violations: [N, C], relative violation of each constraint; 0 inside, inf where the evaluation failed.
        failed: [N], whether the evaluation failed: no metrics, or one that is not finite.
        batches: [N], the batch that each trial was told in.
        population: Positions of the trials that the strategy keeps as parents; none of them failed.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.batch = 0
        self.rows: Indices = np.empty((0, len(problem.space.genes)), dtype=np.int16)
        self.values = np.empty((0, len(problem.objectives)))
        self.violations = np.empty((0, len(problem.constraints)))
        self.failed: NDArray[np.bool_] = np.empty(0, dtype=bool)
        self.batches = np.empty(0, dtype=np.int64)
        self.population = np.empty(0, dtype=np.int64)
        self._known: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def violation(self) -> NDArray[np.float64]:
        """[N]: total relative violation."""
        total: NDArray[np.float64] = self.violations.sum(axis=1)
        return total

    @property
    def succeeded(self) -> NDArray[np.int64]:
        """Positions of the trials that did not fail."""
        return np.flatnonzero(~self.failed)

    def knows(self, row: bytes) -> bool:
        """Whether the row with these bytes was told."""
        return row in self._known

    def add(self, trials: Sequence[Trial]) -> NDArray[np.int64]:
        """Append one batch; positions of those that did not fail.

        Raises:
            UsageError: An architecture of another space, or a trial that lacks a metric of the search.
        """
        rows = self._rows_of(trials)
        costs = self.problem.space.costs_of(rows) if trials else {}
        exact = [{m: float(costs[m][i]) for m in COST_NAMES} for i in range(len(trials))]
        read = [self._read(trial, known) for trial, known in zip(trials, exact, strict=True)]
        n, first = len(trials), len(self)
        goals, bounds = len(self.problem.objectives), len(self.problem.constraints)
        self.rows = np.concatenate([self.rows, rows])
        self.values = np.concatenate([self.values, np.array([v for v, _ in read]).reshape(n, goals)])
        self.violations = np.concatenate([self.violations, np.array([c for _, c in read]).reshape(n, bounds)])
        self.failed = np.logical_not(np.isfinite(self.values).all(axis=1))
        self.batches = np.concatenate([self.batches, np.full(n, self.batch)])
        self._known.update(row.tobytes() for row in rows)
        self.batch += 1
        return first + np.flatnonzero(~self.failed[first:])

    def _rows_of(self, trials: Sequence[Trial]) -> Indices:
        space = self.problem.space
        for trial in trials:
            if trial.arch.space != space.name or trial.arch.names != space.names:
                raise UsageError(f"trial {trial.number} is of another space; tell members of this {space.name!r} only")
        if not trials:
            return np.empty((0, len(space.genes)), dtype=np.int16)
        try:
            return space.indices([trial.arch for trial in trials])
        except KeyError as error:
            raise UsageError(f"a told architecture has the value {error}, which is no choice of this space") from None

    def _read(self, trial: Trial, exact: Mapping[str, float]) -> tuple[list[float], list[float]]:
        """Minimised objectives and violations of one trial; all inf where it failed."""
        problem = self.problem
        known = {**exact, **trial.metrics}
        wanted = [o.metric for o in problem.objectives] + [c.metric for c in problem.constraints]
        missing = [metric for metric in wanted if metric not in known]
        if trial.metrics and missing:
            raise UsageError(f"trial {trial.number} has no {missing[0]!r}; its evaluator must report that metric")
        if not trial.metrics or not all(math.isfinite(known[metric]) for metric in wanted):
            return [math.inf] * len(problem.objectives), [math.inf] * len(problem.constraints)
        values = [o.as_minimised(float(known[o.metric])) for o in problem.objectives]
        return values, [c.violation(float(known[c.metric])) for c in problem.constraints]
