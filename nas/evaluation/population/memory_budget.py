"""A budget of bytes: how much by default, and how it is divided."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

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
    """Bytes for an evaluator where none are given: half of the memory that is free, 1 to 4 GiB.

    On CUDA half of the memory that there is, at most 8 GiB.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        share: Of the machine's memory, or of the GPU's, that this process may use, in 0..1.
    """
    if torch.device(device).type != "cpu":
        return min(ON_CUDA, int(share * torch.cuda.mem_get_info(device)[1] / 2))
    return max(LEAST, min(MOST, int(share * available() / 2)))


def total() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available() -> int:
    """Bytes of memory that this process could still get; 0 where the system does not say."""
    found = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")] or [
        total() // 2 if hasattr(os, "sysconf") else 0
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
            f"{budget:,} bytes ({budget / GIB:.2f} GiB) of memory do not hold one batch of {calibration} calibration "
            f"images; give at least {math.ceil(least / GIB * 100) / 100:.2f} GiB, {least:,} bytes"
        )
    sizes = _sizes(supernet)
    widest, path, weights = max(sizes), sum(sizes), min(budget // 16, WEIGHTS)
    left = budget - KERNELS - weights
    # Passes larger than calibration's may take half; the rest is for what is kept.
    batch = max(min(batch_size, calibration), min(batch_size, left // 2 // (HEAP * path)))
    most = max(batch, calibration)
    waiting = min(most * path, (left - WORKING * most * widest) // 2)
    return batch, Room(max(0, waiting), weights, max(0, left - HEAP * most * path))


def _sizes(supernet: Supernet) -> list[int]:
    """Bytes that each step hands on for an image."""
    return [step.size * 4 for step in supernet.steps(supernet.space.largest())]
