"""The sandwich rule for short training: BigNAS without its regularisation, a cosine to zero, labels for everyone.

BigNAS's exponential decay and label-free small networks are made for hundreds of epochs and averaged weights;
results/LOG.md has what each of them costs in eight.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nas.search_spaces import SearchSpace
from nas.supernets.rules.bignas import zero_init_residuals
from nas.supernets.rules.samplers import Sandwich
from nas.task import Task
from nas.training import Phase, SubNetwork, TrainingRule
from nas.training.schedules import cosine, warmed_up


@dataclass(frozen=True, slots=True)
class TargetsAndLargest:
    """The largest learns from the data's targets, all others from these and from its soft targets.

    Args:
        hard: Share of the data's targets in the loss of the others; 0 is BigNAS's in-place distillation.
        smoothing: Share of a target spread over all answers.
    """

    hard: float = 0.5
    smoothing: float = 0.1

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network; the largest hands its soft targets on."""
        by_targets = task.loss(outputs, targets, smoothing=self.smoothing)
        if member.role == "largest":
            return by_targets, task.soft(outputs)
        assert soft is not None, "the largest network must come first"
        return self.hard * by_targets + (1 - self.hard) * task.distil(outputs, soft), soft


def phases(space: SearchSpace) -> list[Phase]:
    """One phase over everything."""
    return [Phase("sandwich", 1.0, 1.0, warmed_up(cosine, 0.03), Sandwich(middle=2), TargetsAndLargest())]


RULE = TrainingRule("sandwich", phases, learning_rate=0.6, weight_decay=1e-5, initialise=zero_init_residuals)
