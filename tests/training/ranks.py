"""Ranks as threads of one process, and a network without batch norm whose architectures use different weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.data import ImageData
from nas.search_spaces import Architecture
from nas.supernets import RULES, Regularisation
from nas.training import Batches, Forward, Group, Loop, PassOptions, Progress, RuleStep, Settings
from tests.images import stripes
from tests.spaces import SPACES

T = TypeVar("T")
SPACE = SPACES["learned"]


@dataclass
class _Shared:
    barrier: threading.Barrier
    values: list[Tensor | None]


@dataclass
class ThreadGroup:
    """Ranks that meet at a barrier; remembers how many numbers each sum had."""

    rank: int
    size: int
    shared: _Shared
    sums: list[int] = field(default_factory=list)

    def sum(self, values: Tensor) -> Tensor:
        self.sums.append(values.numel())
        self.shared.values[self.rank] = values.clone()
        self.shared.barrier.wait()
        total = torch.stack([v for v in self.shared.values if v is not None]).sum(0)
        self.shared.barrier.wait()
        return values.copy_(total)


def on_ranks(size: int, work: Callable[[ThreadGroup], T]) -> list[T]:
    """What `work` returns on every rank; the first rank's error where one fails."""
    shared = _Shared(threading.Barrier(size, timeout=60), [None] * size)
    results: list[T | None] = [None] * size
    errors: list[Exception | None] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadGroup(rank, size, shared))
        except Exception as error:
            errors[rank] = error
            shared.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Where one rank fails the others meet a broken barrier, which is not what is wrong.
    for error in sorted(filter(None, errors), key=lambda e: isinstance(e, threading.BrokenBarrierError)):
        raise error
    return results  # type: ignore[return-value]


class Branches(nn.Module):
    """A convolution and one linear classifier for each kernel of a block: no batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.heads = nn.ModuleDict({str(k): nn.Linear(8 * 16, 5) for k in (3, 5, 7)})
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)

    def forward(self, x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        features = F.avg_pool2d(F.relu(self.conv(x)), 2).flatten(1)
        if options.dropout:
            generator = torch.Generator().manual_seed(options.seed)
            regular = Regularisation(options.dropout, 0.0, generator, options.group)
            features = features * regular.keep(tuple(features.shape), options.dropout, features)
        return [self.heads[str(arch["stage1.block0.kernel"])](features) for arch in archs]


def images() -> ImageData:
    """128 images to train on, mirrored and moved."""
    return replace(stripes(128), flip=True, padding=1)


def branches_batches(group: Group, *, epochs: int = 5) -> Batches:
    """Four steps an epoch."""
    return Batches(images(), Settings(epochs, 32, 0.1, seed=3), group=group)


def branches_step(
    network: Branches, rule: str, group: Group, *, forward: Forward | None = None, independent_sampling: bool = False
) -> RuleStep:
    """Weight decay and dropout that would show on the wrong weights or images."""
    strict = replace(RULES[rule], weight_decay=0.05, dropout=0.3, initialise=None)  # it is no supernet
    batches = branches_batches(group)
    return RuleStep(network, forward or network, SPACE, batches, strict, independent_sampling=independent_sampling)


def train_branches(
    network: Branches,
    rule: str,
    group: Group,
    *,
    forward: Forward | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """All 20 steps."""
    Loop(branches_step(network, rule, group, forward=forward), 20).run(progress=progress)
