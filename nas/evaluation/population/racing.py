"""Racing: candidates that cannot win any more are stopped early (Maron and Moore 1994, with paired tests)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.evaluation.population.scores import Scores
from nas.objectives import Metric, Objective
from nas.search_spaces import COSTS
from nas.task import Task

MIN_EXAMPLES, MIN_DISAGREEMENTS = 30, 8  # below, the normal approximation says nothing


@dataclass(frozen=True, slots=True)
class Racing:
    """Which candidates of a call may be stopped.

    With one objective a candidate is stopped when it is behind the `keep`-th best. With several, it is stopped when
    another one that costs no more is ahead of it. Behind and ahead are judged on the same examples by a paired test of
    the mean difference, with the correction for a finite split.

    Args:
        objectives: One that each example measures by itself, and any exact costs.
        keep: With one objective, how many of the best must be kept.
        confidence: Chance at least that a stopped candidate would have lost that comparison on all examples,
            over all rounds (Bonferroni).
        rounds: How often candidates are compared; about equal numbers of examples lie between.

    Raises:
        UsageError: A number is out of range.
    """

    objectives: tuple[Objective, ...]
    keep: int = 10
    confidence: float = 0.99
    rounds: int = 8

    def __post_init__(self) -> None:
        if self.keep < 1 or self.rounds < 2 or not 0.5 < self.confidence < 1:
            raise UsageError(
                f"racing needs keep >= 1, rounds >= 2 and 0.5 < confidence < 1, "
                f"got {self.keep}, {self.rounds} and {self.confidence}"
            )

    def check(self, task: Task) -> None:
        """Refuse objectives that a race on this task cannot judge.

        Raises:
            UsageError: An objective that is no measure of the task's examples and no exact cost, a direction that
                nobody looks for, or not exactly one objective that examples decide.
        """
        measured = _measured(task)
        known = {metric.name: metric for metric in (*measured, *COSTS)}
        for objective in self.objectives:
            if objective.metric not in known:
                raise UsageError(
                    f"racing cannot judge by {objective.metric!r}; use {_names(measured)}, with {_names(COSTS)}, "
                    "or leave racing out"
                )
            direction = known[objective.metric].direction
            if objective.direction != direction:
                raise UsageError(f"racing cannot run {objective}; it looks for {direction}:{objective.metric}")
        if sum(objective.metric in task.measures for objective in self.objectives) != 1:
            raise UsageError(
                f"racing needs exactly one objective that examples decide, {_names(measured)}, got "
                f"{', '.join(map(str, self.objectives))}; change the objectives, or leave racing out"
            )

    def eliminated(self, scores: Scores, active: Sequence[int], costs: Tensor) -> list[int]:
        """Those of `active` that can be stopped now.

        Args:
            scores: Measures so far; all of `active` have seen the same examples.
            active: Members still in the race.
            costs: [M, K] for all members, lower is better; K = 0 with one objective.
        """
        count, total = scores.counts[active[0]], scores.examples
        if count == total or count < MIN_EXAMPLES:
            return []
        judged = next(objective for objective in self.objectives if objective.metric in scores.task.measures)
        values = scores.values[scores.task.measures.index(judged.metric)][active, :count]
        # Of answers that are right or wrong only those count on which two candidates differ.
        binary = bool(((values == 0) | (values == 1)).all())
        ahead = self._surely_ahead(values if judged.direction == "max" else -values, total)
        if binary:
            ahead &= _disagreements(values) >= MIN_DISAGREEMENTS
        if costs.shape[1] == 0:
            beaten = ahead.sum(0) >= self.keep
        else:
            own = costs[list(active)].to(values.device)
            no_costlier = (own[:, None, :] <= own[None, :, :]).all(2)
            beaten = (ahead & no_costlier).any(0)
        return [member for member, lost in zip(active, beaten.tolist(), strict=True) if lost]

    def _surely_ahead(self, values: Tensor, total: int) -> Tensor:
        """[A, A]: whether the row's mean over all examples is above the column's, with confidence.

        Args:
            values: [A, n], higher is better, on the examples seen.
            total: Examples in all.
        """
        n = values.shape[1]
        sums, squares = values.sum(1), values.square().sum(1)
        mean = (sums[:, None] - sums[None, :]) / n
        square = (squares[:, None] + squares[None, :] - 2 * values @ values.T).clamp(min=0) / n
        variance = (square - mean.square()).clamp(min=0) * (n / (n - 1))
        error = torch.sqrt(variance * (1 - n / total) / n)
        z = NormalDist().inv_cdf(1 - (1 - self.confidence) / (self.rounds - 1))
        return mean > z * error


def _measured(task: Task) -> list[Metric]:
    """The metrics that are means of a measure of each example."""
    return [metric for metric in task.metrics if metric.name in task.measures]


def _names(metrics: Sequence[Metric]) -> str:
    return " or ".join(metric.name for metric in metrics)


def _disagreements(right: Tensor) -> Tensor:
    """[A, A]: how many examples exactly one of two got right, of answers [A, n] that are 0 or 1."""
    hits = right.sum(1)
    return hits[:, None] + hits[None, :] - 2 * right @ right.T


def round_ends(chunks: int, rounds: int) -> list[int]:
    """After how many chunks each round ends."""
    return sorted({math.ceil(chunks * (i + 1) / rounds) for i in range(rounds)})
