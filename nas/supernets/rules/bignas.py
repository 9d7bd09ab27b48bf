"""BigNAS (Yu et al. 2020): sandwich rule with in-place distillation, one phase, no retraining.

Drop-connect grows linearly with depth, where the paper has one rate in the last two stages; SGD in place of RMSProp,
and no averaged weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.search_spaces import SearchSpace
from nas.supernets.rules.samplers import Sandwich
from nas.supernets.supernet import Supernet
from nas.task import Task
from nas.training import Phase, SubNetwork, TrainingRule
from nas.training.schedules import exponential_with_constant_ending, warmed_up


class InPlaceDistillation:
    """The largest learns from the data's targets, all others from its soft targets alone."""

    def __init__(self, smoothing: float = 0.1) -> None:
        self._smoothing = smoothing

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network; the largest hands its soft targets on."""
        if member.role == "largest":
            return task.loss(outputs, targets, smoothing=self._smoothing), task.soft(outputs)
        assert soft is not None, "the largest network must come first"
        return task.distil(outputs, soft), soft


@torch.no_grad()
def zero_init_residuals(network: nn.Module) -> None:
    """Start every residual block as the identity (Goyal et al. 2017)."""
    assert isinstance(network, Supernet)
    for name in network.residual_scales:
        network.get_parameter(name).zero_()


def phases(space: SearchSpace) -> list[Phase]:
    """One phase over everything."""
    schedule = warmed_up(exponential_with_constant_ending(floor=0.05, reached=0.65), share=0.03)
    return [Phase("sandwich", 1.0, 1.0, schedule, Sandwich(middle=2), InPlaceDistillation())]


RULE = TrainingRule(
    name="bignas",
    phases=phases,
    learning_rate=0.3,
    weight_decay=1e-5,
    dropout=0.2,
    drop_connect=0.2,
    initialise=zero_init_residuals,
)
