"""A budget of bytes: how much by default, and how it is divided."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UsageError
from nas.supernets import Supernet

GIB = 2**30
LEAST, MOST = GIB, 4 * GIB  # of a default on the CPU
ON_CUDA = 8 * GIB
WEIGHTS = 64 * 2**20  # kept ready; more of them gain nothing
# Measured with glibc's allocator: what oneDNN keeps for some hundreds of shapes, and what the heap grows to for every
# byte of a path's activations, its gaps included.
KERNELS, HEAP = 240 * 2**20, 2
WORKING = 6  # tensors of the widest step that fit at least, so that calibration can run


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes may be used for what; kernels, what runs now and the heap's gaps come on top.

    Args:
        waiting: Activations that wait for siblings.
        weights: Weights that are kept ready from chunk to chunk.
        kept: Activations kept from call to call.
    """

    waiting: int
    weights: int
    kept: int


def default_budget(device: str, share: float = 1.0) -> int:
    """Bytes for an evaluator where none are given: half of the memory that is free, 1 to 4 GiB; 8 GiB on CUDA.

    Args:
        device: "cpu" or "cuda".
        share: Of the machine that this process may use, in 0..1.
    """
    if device != "cpu":
        return ON_CUDA
    return max(LEAST, min(MOST, int(share * available() / 2)))


def available() -> int:
    """Bytes of memory that this process could still get; 0 where the system does not say."""
    found = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")] or [
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 0
    ]
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        found.append(max(0, int(limit[0]) - int(used[0])))
    return min(found)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def least_budget(supernet: Supernet, calibration: int) -> int:
    """The smallest budget that `divided` takes.

    Args:
        supernet: Its largest member decides.
        calibration: Images of a calibration batch, which is never cut.
    """
    needed = KERNELS + WORKING * calibration * max(_sizes(supernet))
    return needed + needed // 15 + 1  # what is left without weights


def divided(supernet: Supernet, budget: int, batch_size: int, calibration: int) -> tuple[int, Room]:
    """Images a pass, and what the bytes are for.

    Args:
        supernet: Its largest member decides.
        budget: Bytes.
        batch_size: Most images a pass.
        calibration: Images of a calibration batch, which is never cut.

    Raises:
        UsageError: They are too few for one batch of calibration images.
    """
    if budget < (least := least_budget(supernet, calibration)):
        raise UsageError(
            f"a budget of {budget:,} bytes does not hold one batch of {calibration} calibration images; "
            f"give at least {least:,}"
        )
    sizes = _sizes(supernet)
    widest, path, weights = max(sizes), sum(sizes), min(budget // 16, WEIGHTS)
    left = budget - KERNELS - weights
    batch = max(min(batch_size, calibration), min(batch_size, left // (HEAP * path)))
    most = max(batch, calibration)
    waiting = min(most * path, (left - WORKING * most * widest) // 2)
    return batch, Room(max(0, waiting), weights, max(0, left - HEAP * most * path))


def _sizes(supernet: Supernet) -> list[int]:
    """Bytes that each step hands on for an image."""
    return [step.size * 4 for step in supernet.steps(supernet.space.largest())]
