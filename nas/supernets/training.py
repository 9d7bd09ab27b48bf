"""Training a supernet, and a single network from inherited or fresh weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data.dataset import Dataset
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import rules
from nas.supernets.steps import Context, Regularisation, by_batch, composed_together
from nas.supernets.supernet import Supernet
from nas.supernets.synchronised import by_whole_batch
from nas.training import (
    ALONE,
    Batches,
    Forward,
    Group,
    Loop,
    NetworkStep,
    PassOptions,
    Progress,
    RuleStep,
    Settings,
    TrainingRule,
)
from nas.training.optimiser import check_optimiser
from nas.training.schedules import cosine, warmed_up

DEFAULT_BATCH = 128
# Of networks alone, for a batch of 128: peak learning rate and weight decay.
DEFAULTS = {"sgd": (0.3, 3e-5), "adamw": (1e-3, 1e-2)}


def train(
    supernet: Supernet,
    data: Dataset,
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
    independent_sampling: bool = False,
    checkpoint_s: float | None = None,
) -> None:
    """Train a supernet in place.

    In a group of processes batch norms use the statistics of the whole batch, on every device; but a sub-network that
    only one process runs, as sampled ones are under independent sampling, is normalised by that process's share of it.

    Args:
        supernet: The shared weights.
        data: The examples; the train split teaches, the calibration split calibrates the teacher where there is one.
        rule: A rule or its name.
        epochs: Passes over the train split.
        batch_size: Examples a step.
        learning_rate: Peak; None takes the rule's, in proportion to the batch size.
        seed: Of order, augmentation, sub-networks and noise.
        device: "cpu" or "cuda".
        directory: Where a checkpoint is kept; None keeps none.
        resume: Go on from that checkpoint.
        progress: Called after every step.
        group: The processes that train together, each on its share of a batch; only the first writes checkpoints.
        independent_sampling: Whether each of them draws random sub-networks of its own; see `RuleStep`.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.

    Raises:
        UnknownName: No such rule.
        UsageError: The data do not fit the supernet, or a setting is out of range.
        Diverged: A loss or gradient is not finite.
        CheckpointError: There is nothing to resume, or it belongs to another training.
    """
    chosen = rules.get(rule) if isinstance(rule, str) else rule
    supernet.space.task.require(data.task, what="the data")
    rate = _rate(chosen.learning_rate, learning_rate, batch_size)
    batches = Batches(data, Settings(epochs, batch_size, rate, seed, device), group=group)
    step = RuleStep(
        supernet,
        forward_of(supernet),
        supernet.space,
        batches,
        chosen,
        independent_sampling=independent_sampling,
        no_weight_decay=supernet.no_weight_decay,
    )
    loop = Loop(
        step,
        batches.steps,
        directory=directory,
        identity={**step.identity, "space": supernet.space.digest},
        writes=group.rank == 0,
        checkpoint_s=checkpoint_s,
    )
    loop.run(resume=resume, progress=progress)
    supernet.eval()


def train_alone(
    network: nn.Module,
    data: Dataset,
    *,
    epochs: int,
    space: SearchSpace | None = None,
    arch: Architecture | None = None,
    batch_size: int = DEFAULT_BATCH,
    optimiser: str = "sgd",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    no_weight_decay: Collection[str] = (),
    smoothing: float = 0.1,
    seed: int = 0,
    device: str = "cpu",
    directory: Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    checkpoint_s: float | None = None,
) -> None:
    """Train one plain network in place, from whatever weights it has.

    Args:
        network: What `supernet.extract` makes, or any other module; the data say what it is called with.
        data: The examples; the train split teaches.
        epochs: Passes over the train split.
        space: The space whose task the network is made for; None trusts that it fits the data.
        arch: Its architecture, which a checkpoint must share to be resumed; None for a network of no space.
        batch_size: Examples a step.
        optimiser: "sgd" or "adamw".
        learning_rate: Peak; None takes the optimiser's, in proportion to the batch size.
        weight_decay: On weights of convolutions and linear layers; None takes the optimiser's.
        no_weight_decay: Names of parameters that do not decay, besides norms and biases.
        smoothing: Share of a target spread over all answers.
        seed: Of order, augmentation and noise.
        device: "cpu" or "cuda".
        directory: Where a checkpoint is kept; None keeps none.
        resume: Go on from that checkpoint.
        progress: Called after every step.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.

    Raises:
        UnknownName: No such optimiser.
        UsageError: The data do not fit, or a setting is out of range.
        Diverged: A loss or gradient is not finite.
        CheckpointError: There is nothing to resume, or it belongs to another training.
    """
    check_optimiser(optimiser)
    if space is not None:
        space.task.require(data.task, what="the data")
    default_rate, default_decay = DEFAULTS[optimiser]
    rate = _rate(default_rate, learning_rate, batch_size)
    batches = Batches(data, Settings(epochs, batch_size, rate, seed, device))
    step = NetworkStep(
        network,
        data.task,
        batches,
        schedule=warmed_up(cosine, 0.03),
        optimiser_name=optimiser,
        weight_decay=default_decay if weight_decay is None else weight_decay,
        no_weight_decay=no_weight_decay,
        smoothing=smoothing,
    )
    facts = {"space": None if space is None else space.digest, "arch": None if arch is None else arch.digest}
    loop = Loop(
        step, batches.steps, directory=directory, identity={**step.identity, **facts}, checkpoint_s=checkpoint_s
    )
    loop.run(resume=resume, progress=progress)
    network.eval()


def forward_of(supernet: Supernet) -> Forward:
    """How a supernet runs in training mode; in a pass of several architectures they share what they begin with."""

    def forward(inputs: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        quiet = options.dropout == 0 and options.drop_connect == 0
        generator = torch.Generator().manual_seed(options.seed)
        noise = None if quiet else Regularisation(options.dropout, options.drop_connect, generator, options.group)
        whole = options.synchronised and options.group.size > 1
        context = Context(by_whole_batch(options.group) if whole else by_batch, noise)
        return composed_together([supernet.steps(arch) for arch in archs], inputs, context)

    return forward


def _rate(default: float, learning_rate: float | None, batch_size: int) -> float:
    return default * batch_size / DEFAULT_BATCH if learning_rate is None else learning_rate
