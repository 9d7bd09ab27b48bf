"""What elasticity costs: a sandwich step against its four plain networks, and one pass against the extracted network.

All sides run in turns in one process; a ratio of medians per repetition. On Linux the process starts itself again with
glibc told to keep freed memory: otherwise each side pays page faults by the luck of its order of frees (see the log).

    python -m benchmarks.overhead
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import rows
from nas.search_spaces import get
from nas.supernets import build, calibrate
from nas.supernets.rules.samplers import Sandwich
from nas.task import ImageClassification

NAME = "overhead"
BATCH = 128


def timed(device: str, call: Callable[[], object]) -> float:
    """Seconds of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def in_turns(device: str, sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each side, measured in turns after two warm-up rounds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(rounds + 2):
        order = list(sides) if i % 2 else list(reversed(sides))
        for name in order:
            seconds = timed(device, sides[name])
            if i >= 2:
                times[name].append(seconds)
    return {name: statistics.median(values) for name, values in times.items()}


def images(size: int, device: str) -> Tensor:
    """A fixed batch."""
    x = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return x.contiguous(memory_format=torch.channels_last)


def sandwich(preset: str, size: int, device: str, repetition: int, rounds: int) -> None:
    """Four sub-networks forward and backward, shared weights against plain networks; the same loss on both sides."""
    space = get("mobilenet", task=ImageClassification(size, 3, 10), preset=preset)
    supernet = build(space, seed=0).to(device).train()
    members = Sandwich()(space, np.random.default_rng(repetition))
    plain = [supernet.extract(member.arch).to(device, memory_format=torch.channels_last).train() for member in members]  # type: ignore[call-overload]
    x = images(size, device)
    labels = torch.arange(BATCH, device=device) % 10

    def elastic() -> None:
        supernet.zero_grad(set_to_none=True)
        for member in members:
            space.task.loss(supernet(x, member.arch), labels, smoothing=0.1).backward()

    def separate() -> None:
        for network in plain:
            network.zero_grad(set_to_none=True)
            space.task.loss(network(x), labels, smoothing=0.1).backward()

    found = in_turns(device, {"elastic": elastic, "plain": separate}, rounds)
    key = {"what": "sandwich step", "preset": preset, "batch": BATCH, "repetition": repetition}
    report(key, found, device)


def forward(preset: str, size: int, device: str, repetition: int, rounds: int) -> None:
    """One forward pass in eval mode: smallest, largest and a random member, shared weights against extracted."""
    space = get("mobilenet", task=ImageClassification(size, 3, 10), preset=preset)
    supernet = build(space, seed=0).to(device).eval()
    x = images(size, device)
    drawn = space.architectures(space.sample_choices(np.random.default_rng(repetition), 1))[0]
    for what, arch in (("smallest", space.smallest()), ("random", drawn), ("largest", space.largest())):
        found_statistics = calibrate(supernet, [arch], x)[0]
        network: nn.Module = supernet.extract(arch, found_statistics)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.inference_mode():
            sides = {
                "elastic": lambda a=arch, s=found_statistics: supernet(x, a, statistics=s),
                "plain": lambda n=network: n(x),
            }
            found = in_turns(device, sides, rounds * 2)
        key = {"what": f"forward {what}", "preset": preset, "batch": BATCH, "repetition": repetition}
        report(key, found, device)


def report(key: dict[str, object], found: dict[str, float], device: str) -> None:
    values = {"elastic_ms": found["elastic"] * 1e3, "plain_ms": found["plain"] * 1e3}
    values["ratio"] = found["elastic"] / found["plain"]
    rows.append(NAME, key | {"threads": torch.get_num_threads()}, values, device=device)
    print(key, {name: round(value, 3) for name, value in values.items()}, flush=True)


def run(device: str, rounds: int) -> None:
    """Three repetitions of everything."""
    for repetition in range(3):
        for preset, size in (("tiny", 8), ("small", 32)):
            sandwich(preset, size, device, repetition, rounds)
            forward(preset, size, device, repetition, rounds)


# Keep freed memory for the next pass instead of giving it back to the system.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def keep_freed_memory() -> None:
    """Start this command again with the allocator's settings in its environment, where they are read."""
    if sys.platform == "linux" and not ALLOCATOR.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.overhead", *sys.argv[1:]], os.environ | ALLOCATOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    keep_freed_memory()
    run(options.device, options.rounds)


if __name__ == "__main__":
    main()
