"""Batch-norm statistics as values: measured per architecture, pooled over batches, never stored in a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.errors import UsageError


@dataclass(frozen=True, slots=True)
class Statistics:
    """Means and variances of the inputs of an architecture's batch norms.

    Args:
        layers: By layer name, (mean [C], biased variance [C]).
        images: Number of images they were measured on.
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    images: int

    def layer(self, name: str) -> tuple[Tensor, Tensor]:
        """(mean, variance) of one layer.

        Raises:
            UsageError: The layer was not measured.
        """
        try:
            return self.layers[name]
        except KeyError:
            raise UsageError(f"no batch-norm statistics for {name!r}; calibrate this architecture first") from None

    def to(self, device: torch.device | str) -> Statistics:
        """The same statistics on another device."""
        return Statistics({n: (m.to(device), v.to(device)) for n, (m, v) in self.layers.items()}, self.images)

    def narrowed(self, width: int) -> Statistics:
        """Those of the first `width` channels of every layer; 0 for all."""
        if width == 0:
            return self
        return Statistics({n: (m[:width], v[:width]) for n, (m, v) in self.layers.items()}, self.images)

    def __or__(self, other: Statistics) -> Statistics:
        """Layers of both, measured on the same images."""
        return Statistics({**self.layers, **other.layers}, other.images)


def pool(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of the union of several batches: mean of means, and variance within plus between batches.

    Averaging the batches' variances alone, as released code does, is biased low.

    Args:
        parts: One a batch, over the same layers.
    """
    total = sum(part.images for part in parts)
    layers = {}
    for name, (example, _) in parts[0].layers.items():
        shares = torch.tensor([[part.images / total] for part in parts], device=example.device)
        means = torch.stack([part.layers[name][0] for part in parts])
        variances = torch.stack([part.layers[name][1] for part in parts])
        mean = (shares * means).sum(0)
        layers[name] = (mean, (shares * (variances + (means - mean).square())).sum(0))
    return Statistics(layers, total)
