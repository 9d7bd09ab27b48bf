"""What a training rule says: phases, and in each which networks train, on what targets, how, and what is frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from nas.errors import UsageError
from nas.search_spaces import Architecture, SearchSpace
from nas.task import Task
from nas.training.optimiser import check_optimiser
from nas.training.schedules import Schedule


@dataclass(frozen=True, slots=True)
class SubNetwork:
    """One sub-network of a training step.

    Args:
        arch: Which one.
        role: Its part in the rule, in the rule's own words, such as "largest".
    """

    arch: Architecture
    role: str


class Sampler(Protocol):
    """Plug-in 1: the sub-networks of one step, in the order in which they run."""

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        """Draw only from `rng`."""


class Passes(Protocol):
    """Plug-in 2: which sub-networks come from one forward pass."""

    def __call__(self, members: list[SubNetwork]) -> list[list[SubNetwork]]:
        """The members of each pass: all of them, in the same order."""


class Target(Protocol):
    """Plug-in 3: what a sub-network learns from."""

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network, and the soft targets for those that follow in this step.

        Args:
            task: Whose losses these are.
            outputs: [B, ...].
            targets: [B, ...], as the data set gives them.
            member: Which sub-network made the outputs.
            soft: Soft targets [B, ...] without gradient, from the frozen teacher or an earlier sub-network; None before
                any.
        """


class GradientRule(Protocol):
    """Plug-in 4: the factor on each sub-network's gradient before they are summed."""

    def __call__(self, members: list[SubNetwork]) -> list[float]:
        """One factor each."""


class Freeze(Protocol):
    """Plug-in 5: which parameters stay as they are."""

    def __call__(self, name: str) -> bool:
        """Whether the parameter called `name` is frozen."""


def one_by_one(members: list[SubNetwork]) -> list[list[SubNetwork]]:
    """A forward pass for each."""
    return [[member] for member in members]


def summed(members: list[SubNetwork]) -> list[float]:
    """The sum of the gradients (Once-for-All, BigNAS)."""
    return [1.0] * len(members)


def nothing(name: str) -> bool:
    """Freeze nothing."""
    return False


@dataclass(frozen=True, slots=True)
class SmoothedTargets:
    """Every sub-network learns from the data's targets.

    Args:
        smoothing: Share of a target spread over all answers.
    """

    smoothing: float = 0.1

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The task's loss; soft targets pass through."""
        return task.loss(outputs, targets, smoothing=self.smoothing), soft


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of training.

    Args:
        name: For progress bars and messages.
        share: Its share of all training steps, relative to the other phases.
        learning_rate: Factor on the run's learning rate.
        schedule: Factor over the phase.
        sampler, passes, target, gradients, freeze: The five plug-in points.
        prepare: Done to the supernet once before the phase, such as sorting channels.
        teacher: Makes the frozen network whose outputs are the first soft targets, once before the phase, from the
            supernet and calibration inputs; None keeps the teacher of an earlier phase, if any.
    """

    name: str
    share: float
    learning_rate: float
    schedule: Schedule
    sampler: Sampler
    target: Target
    gradients: GradientRule = summed
    freeze: Freeze = nothing
    passes: Passes = one_by_one
    prepare: Callable[[nn.Module], None] | None = None
    teacher: Callable[[nn.Module, Tensor], nn.Module] | None = None


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """How to train a supernet.

    Args:
        name: Its name on the command line.
        phases: The phases for a space, in order.
        learning_rate: The default, for a batch of 128 and this optimiser.
        weight_decay: On weights of convolutions and linear layers; never on norms and biases.
        optimiser: "sgd" or "adamw".
        dropout: Chance that a feature before the classifier is zeroed, in the `regularised` networks.
        drop_connect: Chance that the last residual branch is dropped for an example, in the `regularised` networks.
        regularised: Roles of the networks that dropout and drop-connect act on.
        sampled: Roles of the networks that are drawn at random, of which each of several processes may draw its own.
        initialise: Done once to a fresh supernet.

    Raises:
        UsageError: A chance is outside 0 <= p < 1, or the learning rate or weight decay is out of range.
        UnknownName: No such optimiser.
    """

    name: str
    phases: Callable[[SearchSpace], list[Phase]]
    learning_rate: float
    weight_decay: float
    optimiser: str = "sgd"
    dropout: float = 0.0
    drop_connect: float = 0.0
    regularised: frozenset[str] = frozenset({"largest"})
    sampled: frozenset[str] = frozenset({"random"})
    initialise: Callable[[nn.Module], None] | None = None

    def __post_init__(self) -> None:
        for name in ("dropout", "drop_connect"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not self.learning_rate > 0 or not self.weight_decay >= 0:
            raise UsageError(
                f"a rule needs learning rate > 0 and weight decay >= 0, got {self.learning_rate}, {self.weight_decay}"
            )
        check_optimiser(self.optimiser)


def check_passes(passes: Sequence[Sequence[SubNetwork]], members: Sequence[SubNetwork]) -> None:
    """Refuse passes that leave out, repeat or reorder sub-networks.

    Raises:
        UsageError: They do.
    """
    if [member for one in passes for member in one] != list(members):
        raise UsageError("a rule's passes must hold each of the step's sub-networks once, in the sampler's order")
