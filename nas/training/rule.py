"""What a training rule says: phases, and in each which networks train, on what targets, how, and what is frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from torch import Tensor, nn

from nas.errors import UsageError
from nas.search_spaces import Architecture, SearchSpace
from nas.training.losses import label_loss
from nas.training.schedules import Schedule

Role = Literal["largest", "random", "smallest"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One sub-network of a training step."""

    arch: Architecture
    role: Role


class Sampler(Protocol):
    """Plug-in 1: the sub-networks of one step, in the order in which they run."""

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[Slot]:
        """Draw only from `rng`."""


class Target(Protocol):
    """Plug-in 2: what a sub-network learns from."""

    def __call__(self, logits: Tensor, labels: Tensor, slot: Slot, soft: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network, and the soft targets for those that follow in this step.

        Args:
            logits: [B, K].
            labels: [B].
            slot: Which sub-network made the logits.
            soft: Probabilities [B, K] without gradient, from the frozen teacher or an earlier slot; None before any.
        """


class GradientRule(Protocol):
    """Plug-in 3: the factor on each sub-network's gradient before they are summed."""

    def __call__(self, slots: list[Slot]) -> list[float]:
        """One factor a slot."""


class Freeze(Protocol):
    """Plug-in 4: which parameters stay as they are."""

    def __call__(self, name: str) -> bool:
        """Whether the parameter called `name` is frozen."""


def summed(slots: list[Slot]) -> list[float]:
    """The sum of the gradients (Once-for-All, BigNAS)."""
    return [1.0] * len(slots)


def nothing(name: str) -> bool:
    """Freeze nothing."""
    return False


@dataclass(frozen=True, slots=True)
class SmoothedLabels:
    """Every sub-network learns from the labels.

    Args:
        smoothing: Share of the target spread over all classes.
    """

    smoothing: float = 0.1

    def __call__(self, logits: Tensor, labels: Tensor, slot: Slot, soft: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Label loss; soft targets pass through."""
        return label_loss(logits, labels, self.smoothing), soft


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of training.

    Args:
        name: For progress bars and messages.
        share: Its share of all training steps, relative to the other phases.
        learning_rate: Factor on the trainer's learning rate.
        schedule: Factor over the phase.
        sampler, target, gradients, freeze: The four plug-in points.
        prepare: Done to the supernet once before the phase, such as sorting channels.
        teacher: Makes the frozen network whose probabilities are the first soft targets, once before the phase,
            from the supernet and normalised calibration images; None keeps the teacher of an earlier phase, if any.
    """

    name: str
    share: float
    learning_rate: float
    schedule: Schedule
    sampler: Sampler
    target: Target
    gradients: GradientRule = summed
    freeze: Freeze = nothing
    prepare: Callable[[nn.Module], None] | None = None
    teacher: Callable[[nn.Module, Tensor], nn.Module] | None = None


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How to train a supernet.

    Args:
        name: Its name on the command line.
        phases: The phases for a space, in order.
        learning_rate: The default, for a batch of 128.
        weight_decay: On weights of convolutions and linear layers; never on norms and biases.
        dropout: Chance that a feature before the classifier is zeroed, in the `regularised` networks.
        drop_connect: Chance that the last residual branch is dropped for an image, in the `regularised` networks.
        regularised: Roles of the networks that dropout and drop-connect act on.
        initialise: Done once to a fresh supernet.

    Raises:
        UsageError: A chance is outside 0 <= p < 1, or the learning rate or weight decay is out of range.
    """

    name: str
    phases: Callable[[SearchSpace], list[Phase]]
    learning_rate: float
    weight_decay: float
    dropout: float = 0.0
    drop_connect: float = 0.0
    regularised: frozenset[Role] = frozenset({"largest"})
    initialise: Callable[[nn.Module], None] | None = None

    def __post_init__(self) -> None:
        for name in ("dropout", "drop_connect"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise UsageError(
                f"a rule needs learning rate > 0 and weight decay >= 0, got {self.learning_rate}, {self.weight_decay}"
            )
