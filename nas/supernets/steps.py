"""A supernet as a chain of named steps, and what a step is told when it runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nas.kernels.convolution import Convolution, Plain, activated, laid_out
from nas.search_spaces.mobilenet.plan import Activation
from nas.supernets.layers import ElasticBatchNorm
from nas.supernets.statistics import Statistics
from nas.training.parallel import ALONE, Group, rows_of

Normalise = Callable[[ElasticBatchNorm, Tensor], Tensor]
State = Tensor | tuple[Tensor, ...]  # what one step hands to the next


@dataclass(frozen=True, slots=True)
class Regularisation:
    """Noise for one training pass; every draw comes from `generator`, which lives on the CPU.

    Args:
        dropout: Chance that a feature before the classifier is zeroed.
        drop_connect: Chance that the last block's residual branch is dropped for an image;
            earlier blocks drop less, in proportion to their depth.
        generator: Where the draws come from.
        group: The processes that share the batch; draws are made for all of it, and each takes its rows.
    """

    dropout: float
    drop_connect: float
    generator: torch.Generator
    group: Group = ALONE

    def keep(self, shape: tuple[int, ...], drop: float, like: Tensor) -> Tensor:
        """A mask of that shape, 0 with chance `drop` and 1/(1 - drop) elsewhere, with the mean 1."""
        whole = shape[0] * self.group.size
        mask = torch.rand(whole, *shape[1:], generator=self.generator)[rows_of(self.group, whole)] >= drop
        return mask.to(like.device, like.dtype) / (1 - drop)


@dataclass(frozen=True, slots=True)
class Context:
    """How a pass normalises, and whether it is regularised.

    Args:
        normalise: What a batch norm does.
        regularisation: Noise; None for none.
        folded: Batch-norm statistics to fold into the weights of the convolution before each norm, in place of
            `normalise`; faster without gradients, equal but for rounding.
        prepared: Convolutions by the name of the norm behind them: filled by a step's first run, used by its later
            ones, which must be of the same step and statistics. None prepares nothing. Not with gradients.
    """

    normalise: Normalise
    regularisation: Regularisation | None = None
    folded: Statistics | None = None
    prepared: dict[str, Convolution] | None = None

    def unit(
        self, x: Tensor, sliced: Callable[[], Tensor], norm: ElasticBatchNorm, activation: Activation | None, *,
        stride: int = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        """Convolution, batch norm, nonlinearity: [B, C, H, W] to [B, C', H', W'].

        Args:
            x: [B, C, H, W].
            sliced: Makes the weight [C', C / groups, k, k]; padding keeps the map size at stride 1.
            norm: The batch norm behind it.
            activation: None for a linear unit.
            stride: Of the convolution.
            groups: Of the convolution.
        """
        convolution = self.prepared.get(norm.name) if self.prepared is not None else None
        if convolution is None:
            convolution = self._convolution(x, sliced, norm, stride, groups)
        if self.folded is not None:
            return convolution(x, activation)
        return activated(self.normalise(norm, convolution(x, None)), activation)

    def _convolution(
        self, x: Tensor, sliced: Callable[[], Tensor], norm: ElasticBatchNorm, stride: int, groups: int
    ) -> Convolution:
        weight, bias = sliced(), None
        if self.folded is not None:
            weight, bias = norm.folded(weight, *self.folded.layer(norm.name))
        if self.prepared is None:
            return Plain(weight, bias, stride, groups)
        self.prepared[norm.name] = made = laid_out(weight, bias, x, stride=stride, groups=groups)
        return made

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


class Step(NamedTuple):
    """One link of the chain.

    Args:
        key: Everything that the output depends on besides the input and `width`. Steps behind equal prefixes of keys
            compute the same, but for width: there the narrower output is the beginning of the wider one.
        body: What it computes. It takes the first channels of a state that is wider than it needs, and never writes
            to the state that it is given: others may hold it.
        macs: Multiply-adds for one image.
        size: Scalars that it computes and hands on, for one image.
        width: Channels of the output where narrower ones are its beginning; 0 for steps of one width.
    """

    key: Hashable
    body: Callable[[State, Context], State]
    macs: int = 0
    size: int = 0
    width: int = 0

    def __call__(self, x: State, statistics: Statistics) -> State:
        """Run with stored batch-norm statistics."""
        return self.body(x, Context(by_statistics(statistics)))

    def measure(self, x: State, prepared: dict[str, Convolution] | None = None) -> tuple[State, Statistics]:
        """Run normalised by the batch, and return the statistics met on the way.

        Args:
            x: The state before this step.
            prepared: See `Context`.
        """
        layers: dict[str, tuple[Tensor, Tensor]] = {}

        def normalise(norm: ElasticBatchNorm, x: Tensor) -> Tensor:
            y, mean, var = norm.measured(x)
            layers[norm.name] = (mean, var)
            return y

        images = len(x) if isinstance(x, Tensor) else len(x[0])
        return self.body(x, Context(normalise, prepared=prepared)), Statistics(layers, images)


def composed(steps: Sequence[Step], x: Tensor, context: Context) -> Tensor:
    """Run a whole chain: images [B, C, H, W] to logits [B, K]."""
    state: State = x
    for step in steps:
        state = step.body(state, context)
    assert isinstance(state, Tensor)
    return state
