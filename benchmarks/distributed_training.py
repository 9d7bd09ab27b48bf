"""Training on two workers against one process: the same weights, the reductions of a step, and its time.

* `weights`: a small network without batch norm, 20 steps with mirrored and moved images, dropout and weight decay; and
  a MobileNet supernet with batch norms shared between the workers, in double precision: in single precision rounding
  switches ReLUs apart within a few steps. Once-for-All's teacher needs single precision, and its sorting then makes a
  permutation of channels out of that; the mean difference of the loss is what to look at there.
* `reductions`: collective calls of a step, and those among them that carry all gradients.
* `step`: median time of a step on images of 8 and of 32 pixels (noise: time asks nothing else), on one process, and on
  two with batch norms shared, or diverse with those of random sub-networks apart; one thread a process, in turns.

Processes exchange through gloo, as under `nas train --workers`, which adds Ray's start.

    python -m benchmarks.distributed_training
    python -m benchmarks.distributed_training --repetitions 1 --steps 6
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

import nas.data
from benchmarks import rows
from nas import search_spaces
from nas.data import ImageData, ImagePreprocessing, Split
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import RULES, Regularisation, build, train
from nas.training import ALONE, Batches, Group, Loop, PassOptions, Progress, RuleStep, Settings, TorchGroup

NAME = "distributed_training"
WORKERS, BATCH, STEPS = 2, 64, 20
SIDES = ("one process", "two workers", "two diverse workers")


class Branches(nn.Module):
    """A convolution without batch norm, and a linear classifier for each kernel of the last stage's first block."""

    def __init__(self, space: SearchSpace, channels: int, size: int, classes: int) -> None:
        super().__init__()
        gene = [gene for gene in space.genes if gene.name.endswith("block0.kernel")][-1]
        self.gene = gene.name
        self.conv = nn.Conv2d(channels, 16, 3, padding=1)
        self.heads = nn.ModuleDict({str(k): nn.Linear(16 * (size // 2) ** 2, classes) for k in gene.choices})
        generator = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.05, generator=generator)

    def forward(self, x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        """[B, C, H, W] to logits [B, K] of each architecture."""
        features = F.avg_pool2d(F.relu(self.conv(x)), 2).flatten(1)
        regular = Regularisation(0.2, 0.0, torch.Generator().manual_seed(options.seed), options.group)
        features = features * regular.keep(tuple(features.shape), 0.2, features)
        return [self.heads[str(arch[self.gene])](features) for arch in archs]


@dataclass
class Counting:
    """A group that notes how many numbers each sum has."""

    inner: Group
    sums: list[int] = field(default_factory=list)

    @property
    def rank(self) -> int:
        """Of the inner group."""
        return self.inner.rank

    @property
    def size(self) -> int:
        """Of the inner group."""
        return self.inner.size

    def sum(self, values: Tensor) -> Tensor:
        """Note the size, and sum."""
        self.sums.append(values.numel())
        return self.inner.sum(values)


@dataclass(frozen=True, slots=True)
class Task:
    """What a process runs: `plain` or `supernet`, by a rule, for some steps."""

    network: str
    rule: str
    steps: int
    diverse: bool = False
    double: bool = False
    size: int = 8


class InDouble(ImagePreprocessing):
    """Normalises to double precision."""

    def normalise(self, images: Tensor) -> Tensor:
        """float64 [B, C, H, W]."""
        return super().normalise(images).double()


def images(size: int) -> ImageData:
    """Digits, or noise of another size; four batches to train on."""
    digits = replace(nas.data.load("digits", train_images=BATCH * 4), flip=True)
    if size == digits.task.size:
        return digits
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (BATCH * 4, 1, size, size), generator=generator).to(torch.uint8)
    split = Split(noise, torch.arange(BATCH * 4) % digits.task.classes)
    preprocessing = replace(digits.preprocessing, input_size=size)
    return replace(digits, preprocessing=preprocessing, train=split, calibration=split)


def run(task: Task, group: Group) -> dict[str, Any]:
    """Train; gives the weights, sums and step times (s) of this process."""
    data, counting, ends, losses = images(task.size), Counting(group), [time.perf_counter()], list[float]()

    def tick(progress: Progress) -> None:
        ends.append(time.perf_counter())
        losses.append(progress.loss)

    space = search_spaces.get("mobilenet", task=data.task)
    epochs = -(-task.steps // 4)
    network: nn.Module
    if task.network == "plain":
        network = plain = Branches(space, data.task.channels, data.task.size, data.task.classes)
        rule = replace(RULES[task.rule], weight_decay=0.01, initialise=None)  # it is no supernet
        settings = Settings(epochs, BATCH, 0.05, seed=0)
        batches = Batches(data, settings, group=counting)
        Loop(RuleStep(network, plain, space, batches, rule), batches.steps).run(progress=tick)
    else:
        network = supernet = build(space, seed=0)
        if task.double:
            network.double()
            data = replace(
                data, preprocessing=InDouble(*(getattr(data.preprocessing, f.name) for f in fields(ImagePreprocessing)))
            )
        train(
            supernet, data, rule=task.rule, epochs=epochs, batch_size=BATCH, learning_rate=0.05, group=counting,
            independent_sampling=task.diverse, progress=tick,
        )  # fmt: skip
    trainable = sum(p.numel() for p in network.parameters())
    return {
        "weights": network.state_dict(),
        "sums": len(counting.sums),
        "reductions": sum(count >= trainable for count in counting.sums),
        "steps": len(ends) - 1,
        "losses": losses,
        "step_s": [b - a for a, b in pairwise(ends[1:])],  # the first step also warms up
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def work(rank: int, size: int, port: int, task: Task, folder: str) -> None:
    torch.set_num_threads(1)
    if size > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    found = run(task, TorchGroup() if size > 1 else ALONE)
    if size > 1:
        dist.barrier()  # gloo aborts a process whose last receiving the other one leaves too early
        dist.destroy_process_group()
    if rank == 0:
        torch.save(found, Path(folder) / "found.pt")


def in_processes(task: Task, size: int) -> dict[str, Any]:
    """What the first of `size` fresh processes found."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, args=(size, free_port(), task, folder), nprocs=size)  # type: ignore[no-untyped-call]
        found: dict[str, Any] = torch.load(Path(folder) / "found.pt", weights_only=True)
    return found


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    return max(float((value - second[name]).abs().max()) for name, value in first.items())


def same_weights(network: str, rule: str, *, force: bool) -> None:
    key = {"figure": "weights", "network": network, "rule": rule, "steps": STEPS, "workers": WORKERS}
    if force or rows.finished(NAME, key) is None:
        task = Task(network, rule, STEPS, double=network == "supernet" and rule != "ofa")
        one, two = in_processes(task, 1), in_processes(task, WORKERS)
        values = {
            "max_difference": difference(one["weights"], two["weights"]),
            "mean_loss_difference": statistics.mean(
                abs(a - b) for a, b in zip(one["losses"], two["losses"], strict=True)
            ),
            "sums_per_step": two["sums"] / two["steps"],
            "reductions_per_step": two["reductions"] / two["steps"],
        }
        rows.append(NAME, key, values)
        say(f"{network} {rule}: {values}")


def step_times(rule: str, size: int, steps: int, repetition: int, *, force: bool) -> None:
    key = {
        "figure": "step",
        "rule": rule,
        "pixels": size,
        "batch": BATCH,
        "steps": steps,
        "workers": WORKERS,
        "repetition": repetition,
    }
    if force or rows.finished(NAME, key) is None:
        medians = {}
        for side in SIDES:
            task = Task("supernet", rule, steps, diverse="diverse" in side, size=size)
            found = in_processes(task, 1 if side == SIDES[0] else WORKERS)
            medians[side] = statistics.median(found["step_s"])
        values = {f"{side.replace(' ', '_')}_step_s": seconds for side, seconds in medians.items()}
        values |= {f"{side.replace(' ', '_')}_speedup": medians[SIDES[0]] / medians[side] for side in SIDES[1:]}
        rows.append(NAME, key, values)
        say(f"{rule} step, {size} pixels: {values}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="of each timed run")
    parser.add_argument("--force", action="store_true", help="measure again what is there already")
    words = parser.parse_args()
    for rule in RULES:
        if rule != "ofa":  # which sorts and extracts a MobileNet
            same_weights("plain", rule, force=words.force)
        same_weights("supernet", rule, force=words.force)
    for repetition in range(words.repetitions):
        for size in (8, 32):
            step_times("bignas", size, words.steps, repetition, force=words.force)


if __name__ == "__main__":
    main()
