"""Training a supernet, and a single network from inherited or fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data import ImageData
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import rules
from nas.supernets.steps import Context, Regularisation, composed
from nas.supernets.supernet import Supernet
from nas.supernets.synchronised import by_whole_batch
from nas.training import (
    ALONE,
    Group,
    Noise,
    Phase,
    Progress,
    Settings,
    Slot,
    SmoothedLabels,
    Trainer,
    TrainingRule,
)
from nas.training.schedules import cosine, warmed_up

DEFAULT_BATCH = 128


def train(
    supernet: Supernet,
    data: ImageData,
    *,
    rule: str | TrainingRule,
    epochs: int,
    batch_size: int = DEFAULT_BATCH,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    directory: Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    group: Group = ALONE,
    diverse: bool = False,
    checkpoint_s: float | None = None,
) -> None:
    """Train a supernet in place.

    In a group of processes batch norms use the statistics of the whole batch, on every device; but a sub-network that
    only one process runs, as `random` ones are where `diverse`, is normalised by that process's share of it.

    Args:
        supernet: The shared weights.
        data: The images; its train split teaches, its calibration split calibrates the teacher where there is one.
        rule: A rule or its name.
        epochs: Passes over the train split.
        batch_size: Images a step.
        learning_rate: Peak; None takes the rule's, in proportion to the batch size.
        seed: Of order, augmentation, sub-networks and noise.
        device: "cpu" or "cuda".
        directory: Where a checkpoint is kept; None keeps none.
        resume: Go on from that checkpoint.
        progress: Called after every step.
        group: The processes that train together, each on its share of a batch; see `Trainer`.
        diverse: Whether each of them draws random sub-networks of its own.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.

    Raises:
        UnknownName: No such rule.
        UsageError: The data do not fit the supernet, or a setting is out of range.
        Diverged: A loss or gradient is not finite.
        CheckpointError: There is nothing to resume, or it belongs to another training.
    """
    chosen = rules.get(rule) if isinstance(rule, str) else rule
    check_fits(supernet.space, data)

    def forward(x: Tensor, arch: Architecture, noise: Noise) -> Tensor:
        quiet = noise.dropout == 0 and noise.drop_connect == 0
        generator = torch.Generator().manual_seed(noise.seed)
        regular = None if quiet else Regularisation(noise.dropout, noise.drop_connect, generator, noise.group)
        if noise.alike and noise.group.size > 1:
            return composed(supernet.steps(arch), x, Context(by_whole_batch(noise.group), regular))
        logits: Tensor = supernet(x, arch, regularisation=regular)
        return logits

    settings = Settings(epochs, batch_size, _rate(chosen, learning_rate, batch_size), seed, device)
    trainer = Trainer(
        supernet, forward, supernet.space, data, chosen, settings,
        directory=directory, identity={"space": supernet.space.digest}, group=group, diverse=diverse,
        checkpoint_s=checkpoint_s, no_weight_decay=supernet.no_weight_decay,
    )  # fmt: skip
    trainer.run(resume=resume, progress=progress)


def train_alone(
    network: nn.Module,
    arch: Architecture,
    space: SearchSpace,
    data: ImageData,
    *,
    epochs: int,
    batch_size: int = DEFAULT_BATCH,
    learning_rate: float = 0.3,
    weight_decay: float = 3e-5,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train one extracted network in place, from whatever weights it has.

    Args:
        network: A plain network, as `supernet.extract` makes it.
        arch: Its architecture.
        space: The space of that architecture.
        data: The images.
        epochs: Passes over the train split.
        batch_size: Images a step.
        learning_rate: Peak, for a batch of 128.
        weight_decay: On weights of convolutions and linear layers.
        seed: Of order, augmentation and noise.
        device: "cpu" or "cuda".
        progress: Called after every step.

    Raises:
        UsageError: The data do not fit, or a setting is out of range.
        Diverged: A loss or gradient is not finite.
    """
    check_fits(space, data)
    phase = Phase("alone", 1.0, 1.0, warmed_up(cosine, 0.03), lambda _, __: [Slot(arch, "largest")], SmoothedLabels())
    rule = TrainingRule("alone", lambda _: [phase], learning_rate, weight_decay)

    def forward(x: Tensor, arch: Architecture, noise: Noise) -> Tensor:
        logits: Tensor = network(x)
        return logits

    settings = Settings(epochs, batch_size, _rate(rule, None, batch_size), seed, device)
    Trainer(network, forward, space, data, rule, settings).run(progress=progress)


def _rate(rule: TrainingRule, learning_rate: float | None, batch_size: int) -> float:
    return rule.learning_rate * batch_size / DEFAULT_BATCH if learning_rate is None else learning_rate


def check_fits(space: SearchSpace, data: ImageData) -> None:
    """Refuse data of another task than the space is made for.

    Raises:
        UsageError: Names the first that differs.
    """
    space.task.require(data.task, what="the data")
