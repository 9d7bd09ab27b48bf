"""Batch-norm statistics of architectures, measured on fixed images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.search_spaces import Architecture
from nas.supernets.statistics import Statistics, pool
from nas.supernets.steps import State
from nas.supernets.supernet import Supernet

# Larger batches measure better and waste less time between layers; one size for all members, so that they compare.
FEWEST, MOST, BYTES = 64, 500, 256 * 2**20


def calibration_batch(supernet: Supernet) -> int:
    """Images of a calibration batch: as many as the largest member's activations fit 256 MiB, but 64 to 500."""
    path = sum(step.size for step in supernet.steps(supernet.space.largest())) * 4
    return max(FEWEST, min(MOST, BYTES // path))


@torch.no_grad()
def calibrate(
    supernet: Supernet, archs: Sequence[Architecture], images: Tensor, *, batch_size: int | None = None
) -> list[Statistics]:
    """Statistics of each architecture, one pass over the images each.

    While measuring, every batch norm uses its own batch; pooled means and variances are returned.
    Nothing of the supernet changes. One without batch norms needs no pass: its statistics are empty.

    Args:
        supernet: The shared weights.
        archs: What to calibrate.
        images: Normalised images [N, C, H, W], on any device; split in order into equal batches.
        batch_size: Most images a batch; batches differ by at most one image. None: see `calibration_batch`.

    Raises:
        UsageError: Fewer than two images, batches of fewer than two, or an architecture of another space.
    """
    if not supernet.has_batch_norms:
        for arch in archs:
            supernet.space.require(arch)
        return [Statistics({}, 0) for _ in archs]
    if len(images) < 2:
        raise UsageError(f"calibration needs at least 2 images, got {len(images)}")
    batch_size = calibration_batch(supernet) if batch_size is None else batch_size
    if batch_size < 2:
        raise UsageError(f"calibration needs a batch size of at least 2, got {batch_size}")
    batches = equal_parts(images.to(next(supernet.parameters()).device), batch_size)
    if len(batches[-1]) < 2:
        raise UsageError(f"{len(images)} images in batches of {batch_size} leave one with one image; use another size")
    return [pool([_measure(supernet, arch, batch) for batch in batches]) for arch in archs]


def equal_parts(images: Tensor, most: int) -> tuple[Tensor, ...]:
    """As few parts of at most so many images as possible; they differ by at most one."""
    return torch.tensor_split(images, max(1, -(-len(images) // most)))


def _measure(supernet: Supernet, arch: Architecture, x: Tensor) -> Statistics:
    found, state = Statistics({}, len(x)), cast(State, x)
    for step in supernet.steps(arch):
        state, statistics = step.measure(state)
        found = found | statistics
    return found
