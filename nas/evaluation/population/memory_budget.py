"""The memory budget of an evaluator: how large it is by default, and how it is partitioned."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from nas.errors import UsageError
from nas.supernets import Supernet

GIB = 2**30
SMALLEST_DEFAULT, LARGEST_DEFAULT = GIB, 4 * GIB  # on the CPU
LARGEST_CUDA_DEFAULT = 8 * GIB
LARGEST_WEIGHTS = 64 * 2**20  # more prepared weights gain nothing
# Measured with glibc's allocator: what oneDNN's kernel cache takes for some hundreds of shapes, and how many bytes the
# heap takes for a byte of a path's activations, its gaps included.
KERNEL_CACHE, HEAP_FACTOR = 240 * 2**20, 2
WORKING_TENSORS = 6  # of the widest step: the least with which calibration runs


@dataclass(frozen=True, slots=True)
class Partition:
    """How many bytes each use may take. Kernels, what runs now and the heap's gaps come on top.

    Args:
        siblings: Activations held in a pass until the node's other children need them.
        weights: Weights that are kept prepared from chunk to chunk.
        cache: Activations kept from call to call.
    """

    siblings: int
    weights: int
    cache: int


def default_budget(device: str, share: float = 1.0) -> int:
    """Bytes for an evaluator that is given no budget, see `cpu_budget` and `cuda_budget`.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        share: Of the machine's memory, or of the GPU's, that this process may use, in 0..1.
    """
    if torch.device(device).type != "cpu":
        return cuda_budget(torch.cuda.mem_get_info(device)[1], share)
    return cpu_budget(available(), share)


def cpu_budget(free: int, share: float = 1.0) -> int:
    """Half of the share of the free bytes, 1 to 4 GiB."""
    return max(SMALLEST_DEFAULT, min(LARGEST_DEFAULT, int(share * free / 2)))


def cuda_budget(total: int, share: float = 1.0) -> int:
    """Half of the share of a GPU's bytes, at most 8 GiB."""
    return min(LARGEST_CUDA_DEFAULT, int(share * total / 2))


def total() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available() -> int:
    """Bytes of memory that this process could still get; 0 where the system does not say."""
    free = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")] or [
        total() // 2 if hasattr(os, "sysconf") else 0
    ]
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        free.append(max(0, int(limit[0]) - int(used[0])))
    return min(free)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def smallest_budget(supernet: Supernet, calibration: int) -> int:
    """The smallest budget that `partition` takes.

    Args:
        supernet: Its largest member decides.
        calibration: Examples of a calibration batch, which is never split.
    """
    needed = KERNEL_CACHE + WORKING_TENSORS * calibration * max(_sizes(supernet))
    return needed + needed // 15 + 1  # what is left without weights


def partition(supernet: Supernet, budget: int, batch_size: int, calibration: int) -> tuple[int, Partition]:
    """Examples a pass, and the bytes of each use.

    Args:
        supernet: Its largest member decides.
        budget: Bytes.
        batch_size: Most examples a pass.
        calibration: Examples of a calibration batch, which is never split.

    Raises:
        UsageError: The budget does not hold one calibration batch.
    """
    if budget < (smallest := smallest_budget(supernet, calibration)):
        raise UsageError(
            f"{budget:,} bytes ({budget / GIB:.2f} GiB) of memory do not hold one batch of {calibration} calibration "
            f"examples; give at least {math.ceil(smallest / GIB * 100) / 100:.2f} GiB, {smallest:,} bytes"
        )
    sizes = _sizes(supernet)
    widest, path, weights = max(sizes), sum(sizes), min(budget // 16, LARGEST_WEIGHTS)
    left = budget - KERNEL_CACHE - weights
    # Passes larger than calibration's may take half; the rest is for the cache.
    batch = max(min(batch_size, calibration), min(batch_size, left // 2 // (HEAP_FACTOR * path)))
    largest = max(batch, calibration)
    siblings = min(largest * path, (left - WORKING_TENSORS * largest * widest) // 2)
    return batch, Partition(max(0, siblings), weights, max(0, left - HEAP_FACTOR * largest * path))


def _sizes(supernet: Supernet) -> list[int]:
    """Bytes that each step computes for an example."""
    return [step.size * 4 for step in supernet.steps(supernet.space.largest())]
