"""Training one network in several processes: who they are, and how their gradients become one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nas.errors import UsageError


class Group(Protocol):
    """Processes that train the same weights, each on its share of every batch."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place, the same bits in each; all must call it in the same order."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One process."""

    @property
    def rank(self) -> int:
        """Always 0."""
        return 0

    @property
    def size(self) -> int:
        """Always 1."""
        return 1

    def sum(self, values: Tensor) -> Tensor:
        """The values."""
        return values


ALONE = Alone()


@dataclass(frozen=True, slots=True)
class TorchGroup:
    """All processes of `torch.distributed`, which must be initialised."""

    @property
    def rank(self) -> int:
        """Rank of this process in the world."""
        return dist.get_rank()

    @property
    def size(self) -> int:
        """The world's size."""
        return dist.get_world_size()

    def sum(self, values: Tensor) -> Tensor:
        """One all-reduce."""
        dist.all_reduce(values)
        return values


def average_gradients(group: Group, parameters: Iterable[nn.Parameter], watched: Tensor) -> Tensor:
    """Replace gradients by their means over all processes, with one call of `group.sum`.

    One flat buffer holds the gradients of all trainable parameters, whether this process has them or not, one number
    a parameter for whether it has, and the watched numbers. A missing gradient counts as zero; one that all processes
    miss stays None, so that weight decay and momentum leave the parameter alone as they do in one process.

    Args:
        group: The processes.
        parameters: The network's, in the same order everywhere; those without `requires_grad` are left out.
        watched: Numbers [N] to average along the way, such as the loss.

    Returns:
        The means of the watched numbers [N].
    """
    if group.size == 1:
        return watched
    trainable = [p for p in parameters if p.requires_grad]
    present = watched.new_tensor([p.grad is not None for p in trainable], dtype=torch.float32)
    pieces = [p.new_zeros(p.numel()) if p.grad is None else p.grad.reshape(-1) for p in trainable]
    sums = group.sum(torch.cat([*pieces, present, watched]))
    sizes = [*(p.numel() for p in trainable), len(trainable), len(watched)]
    means: list[Tensor] = list(torch.split(sums / group.size, sizes))
    seen, had = means.pop(), means.pop()
    for parameter, mean, anywhere in zip(trainable, means, (had > 0).tolist(), strict=True):
        parameter.grad = mean.view_as(parameter) if anywhere else None
    return seen


def gathered(group: Group, values: Tensor) -> Tensor:
    """The values [...] of every process, [size, ...] by rank."""
    everyone = values.new_zeros(group.size, *values.shape)
    everyone[group.rank] = values
    return group.sum(everyone)


def rows_of(group: Group, count: int) -> slice:
    """The rows that a process takes of `count`, which `check_shares` has found divisible."""
    share = count // group.size
    return slice(group.rank * share, (group.rank + 1) * share)


def check_shares(examples: int, workers: int) -> None:
    """Refuse batches that do not divide into equal shares of at least two examples, which batch norms need.

    Args:
        examples: Examples a step.
        workers: Processes that share them.

    Raises:
        UsageError: Names the nearest number of images that does.
    """
    if workers < 1:
        raise UsageError(f"training needs at least 1 worker, got {workers}")
    if examples % workers or (workers > 1 and examples // workers < 2):
        nearest = workers * max(2, round(examples / workers))
        raise UsageError(
            f"a batch of {examples} examples does not divide into equal shares of 2 or more for {workers} workers; "
            f"use a batch size of {nearest}, or another number of workers"
        )
