"""Racing: candidates that cannot win any more are not evaluated on (Maron and Moore 1994, with paired tests)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.evaluation.metrics import TASK_METRICS
from nas.evaluation.population.scores import Scores
from nas.objectives import Metric, Objective
from nas.search_spaces import COSTS

MIN_IMAGES, MIN_DISAGREEMENTS = 30, 8  # below, the normal approximation says nothing


@dataclass(frozen=True, slots=True)
class Racing:
    """Which candidates of a call may be stopped.

    With one objective a candidate is stopped when it is behind the `keep`-th best; with several, when another one that
    costs no more is ahead of it. Behind and ahead are judged on the same images by a paired test of the mean
    difference, with the correction for a finite split.

    Args:
        objectives: accuracy or loss, and any of params and macs.
        keep: With one objective, how many of the best must be kept.
        confidence: Chance at least that a stopped candidate would have lost that comparison on all images,
            over all rounds (Bonferroni).
        rounds: How often candidates are compared; about equal numbers of images lie between.

    Raises:
        UsageError: Another objective, none that images decide, or a number out of range.
    """

    objectives: tuple[Objective, ...]
    keep: int = 10
    confidence: float = 0.99
    rounds: int = 8

    def __post_init__(self) -> None:
        known = {metric.name: metric for metric in (*TASK_METRICS, *COSTS)}
        for objective in self.objectives:
            if objective.metric not in known:
                raise UsageError(
                    f"racing cannot judge by {objective.metric!r}; use {_names(TASK_METRICS)}, with {_names(COSTS)}, "
                    "or leave racing out"
                )
            direction = known[objective.metric].direction
            if objective.direction != direction:
                raise UsageError(f"racing cannot run {objective}; it looks for {direction}:{objective.metric}")
        if len(_decided_by_images(self.objectives)) != 1:
            raise UsageError(
                f"racing needs exactly one objective that images decide, {_names(TASK_METRICS)}, got "
                f"{', '.join(map(str, self.objectives))}; change the objectives, or leave racing out"
            )
        if self.keep < 1 or self.rounds < 2 or not 0.5 < self.confidence < 1:
            raise UsageError(
                f"racing needs keep >= 1, rounds >= 2 and 0.5 < confidence < 1, "
                f"got {self.keep}, {self.rounds} and {self.confidence}"
            )

    def eliminated(self, scores: Scores, active: Sequence[int], costs: Tensor) -> list[int]:
        """Those of `active` that can be stopped now.

        Args:
            scores: Answers so far; all of `active` have seen the same images.
            active: Members still in the race.
            costs: [M, K] for all members, lower is better; K = 0 with one objective.
        """
        seen, total = scores.counts[active[0]], scores.right.shape[1]
        if seen == total or seen < MIN_IMAGES:
            return []
        (metric,) = _decided_by_images(self.objectives)
        values = scores.right[active, :seen].float() if metric == "accuracy" else -scores.losses[active, :seen]
        ahead = self._surely_ahead(values, total)
        if metric == "accuracy":
            ahead &= _disagreements(values) >= MIN_DISAGREEMENTS
        if costs.shape[1] == 0:
            beaten = ahead.sum(0) >= self.keep
        else:
            own = costs[list(active)].to(values.device)
            no_costlier = (own[:, None, :] <= own[None, :, :]).all(2)
            beaten = (ahead & no_costlier).any(0)
        return [member for member, lost in zip(active, beaten.tolist(), strict=True) if lost]

    def _surely_ahead(self, values: Tensor, total: int) -> Tensor:
        """[A, A]: whether the row's mean over all images is above the column's, with confidence.

        Args:
            values: [A, n], higher is better, on the images seen.
            total: Images in all.
        """
        n = values.shape[1]
        sums, squares = values.sum(1), values.square().sum(1)
        mean = (sums[:, None] - sums[None, :]) / n
        square = (squares[:, None] + squares[None, :] - 2 * values @ values.T).clamp(min=0) / n
        variance = (square - mean.square()).clamp(min=0) * (n / (n - 1))
        error = torch.sqrt(variance * (1 - n / total) / n)
        z = NormalDist().inv_cdf(1 - (1 - self.confidence) / (self.rounds - 1))
        return mean > z * error


def _decided_by_images(objectives: Sequence[Objective]) -> list[str]:
    names = [metric.name for metric in TASK_METRICS]
    return [objective.metric for objective in objectives if objective.metric in names]


def _names(metrics: Sequence[Metric]) -> str:
    return " or ".join(metric.name for metric in metrics)


def _disagreements(right: Tensor) -> Tensor:
    """[A, A]: how many images exactly one of two got right, of answers [A, n] that are 0 or 1."""
    hits = right.sum(1)
    return hits[:, None] + hits[None, :] - 2 * right @ right.T


def round_ends(chunks: int, rounds: int) -> list[int]:
    """After how many chunks each round ends."""
    return sorted({math.ceil(chunks * (i + 1) / rounds) for i in range(rounds)})
