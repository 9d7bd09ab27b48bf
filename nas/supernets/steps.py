"""A supernet as a chain of named steps, and what a step is told when it runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.supernets.layers import ElasticBatchNorm
from nas.supernets.statistics import Statistics

Normalise = Callable[[ElasticBatchNorm, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Regularisation:
    """Noise for one training pass; every draw comes from `generator`, which lives on the CPU.

    Args:
        dropout: Chance that a feature before the classifier is zeroed.
        drop_connect: Chance that the last block's residual branch is dropped for an image;
            earlier blocks drop less, in proportion to their depth.
        generator: Where the draws come from.
    """

    dropout: float
    drop_connect: float
    generator: torch.Generator

    def keep(self, shape: tuple[int, ...], drop: float, like: Tensor) -> Tensor:
        """A mask of that shape, 0 with chance `drop` and 1/(1 - drop) elsewhere, with the mean 1."""
        mask = torch.rand(shape, generator=self.generator) >= drop
        return mask.to(like.device, like.dtype) / (1 - drop)


@dataclass(frozen=True, slots=True)
class Context:
    """How a pass normalises, and whether it is regularised."""

    normalise: Normalise
    regularisation: Regularisation | None = None

    def dropped(self, branch: Tensor, depth: float) -> Tensor:
        """A residual branch [B, C, H, W] under drop-connect; `depth` is its block's position in 0..1."""
        if self.regularisation is None or self.regularisation.drop_connect == 0:
            return branch
        drop = self.regularisation.drop_connect * depth
        return branch * self.regularisation.keep((len(branch), 1, 1, 1), drop, branch)


def by_batch(norm: ElasticBatchNorm, x: Tensor) -> Tensor:
    """Normalise by the batch itself, as in training."""
    return norm.by_batch(x)


def by_statistics(statistics: Statistics) -> Normalise:
    """Normalise by stored statistics; a missing layer is an error."""
    return lambda norm, x: norm.by_given(x, *statistics.layer(norm.name))


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain.

    Args:
        key: Everything that the output depends on besides the input; equal prefixes of keys mean equal activations.
        body: What it computes.
    """

    key: Hashable
    body: Callable[[Tensor, Context], Tensor]

    def __call__(self, x: Tensor, statistics: Statistics) -> Tensor:
        """Run with stored batch-norm statistics."""
        return self.body(x, Context(by_statistics(statistics)))

    def measure(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """Run normalised by the batch, and return the statistics met on the way."""
        layers: dict[str, tuple[Tensor, Tensor]] = {}

        def normalise(norm: ElasticBatchNorm, x: Tensor) -> Tensor:
            y, mean, var = norm.measured(x)
            layers[norm.name] = (mean, var)
            return y

        return self.body(x, Context(normalise)), Statistics(layers, x.shape[0])
