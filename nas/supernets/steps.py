"""A supernet as a chain of named steps, and what a step is told when it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nas.supernets.statistics import Statistics
from nas.training.parallel import ALONE, Group, rows_of

State = Tensor | tuple[Tensor, ...]  # what one step hands to the next


class NormLayer(nn.Module, ABC):
    """A batch norm with scale and shift over the first channels; its statistics always come from outside.

    Supernets whose norms are none of these need no statistics.
    """

    name: str  # in `Statistics`
    eps: float  # added to the variance

    @abstractmethod
    def sliced(self, channels: int) -> tuple[Tensor, Tensor]:
        """(scale [channels], shift [channels]), views."""

    @abstractmethod
    def by_batch(self, x: Tensor) -> Tensor:
        """[B, C, ...], normalised by the batch's own mean and variance."""

    @abstractmethod
    def by_given(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """[B, C, ...], normalised by the given mean [C] and variance [C]."""

    @abstractmethod
    def measured(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`by_batch`, with that mean [C] and biased variance [C]; may overwrite `x` where gradients are off."""


Normalise = Callable[[NormLayer, Tensor], Tensor]


class Prepared(Protocol):
    """What a step made once to use many times, such as weights in a kernel's own layout."""

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        ...


@dataclass(frozen=True, slots=True)
class Regularisation:
    """Noise for one training pass; every draw comes from `generator`, which lives on the CPU.

    Args:
        dropout: Chance that a feature before the classifier is zeroed.
        drop_connect: Chance that the last block's residual branch is dropped for an example;
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
        folded: Batch-norm statistics that layers fold into the weights before each norm, in place of `normalise`;
            faster without gradients, equal but for rounding.
        prepared: What layers made ready, under names of their own: filled by a step's first run, used by its later
            ones, which must be of the same step and statistics. None prepares nothing. Not with gradients.
    """

    normalise: Normalise
    regularisation: Regularisation | None = None
    folded: Statistics | None = None
    prepared: dict[Hashable, Prepared] | None = None

    def drop_connect(self, branch: Tensor, depth: float) -> Tensor:
        """A residual branch [B, ...] under drop-connect; `depth` is its block's position in 0..1."""
        if self.regularisation is None or self.regularisation.drop_connect == 0:
            return branch
        drop = self.regularisation.drop_connect * depth
        shape = (len(branch), *(1 for _ in branch.shape[1:]))
        return branch * self.regularisation.keep(shape, drop, branch)

    def dropout(self, features: Tensor) -> Tensor:
        """Features [B, F] before the classifier, some of them zeroed."""
        if self.regularisation is None or self.regularisation.dropout == 0:
            return features
        return features * self.regularisation.keep(tuple(features.shape), self.regularisation.dropout, features)


def by_batch(norm: NormLayer, x: Tensor) -> Tensor:
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
        macs: Multiply-adds for one example.
        size: Scalars that it computes and hands on, for one example.
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

    def measure(self, x: State, prepared: dict[Hashable, Prepared] | None = None) -> tuple[State, Statistics]:
        """Run normalised by the batch, and return the statistics met on the way.

        Args:
            x: The state before this step.
            prepared: See `Context`.
        """
        layers: dict[str, tuple[Tensor, Tensor]] = {}

        def normalise(norm: NormLayer, x: Tensor) -> Tensor:
            y, mean, var = norm.measured(x)
            layers[norm.name] = (mean, var)
            return y

        examples = len(x) if isinstance(x, Tensor) else len(x[0])
        return self.body(x, Context(normalise, prepared=prepared)), Statistics(layers, examples)


def composed(steps: Sequence[Step], x: Tensor, context: Context) -> Tensor:
    """Run a whole chain: inputs [B, ...] to outputs [B, K]."""
    state: State = x
    for step in steps:
        state = step.body(state, context)
    assert isinstance(state, Tensor)
    return state


def composed_together(chains: Sequence[Sequence[Step]], x: Tensor, context: Context) -> list[Tensor]:
    """Run several chains in one pass: what they begin with alike runs once, with one draw of its noise."""
    if len(chains) == 1:
        return [composed(chains[0], x, context)]
    states = dict[tuple[Hashable, ...], State]()
    outputs = list[Tensor]()
    for chain in chains:
        state, prefix = cast(State, x), cast(tuple[Hashable, ...], ())
        for step in chain:
            prefix = (*prefix, step.key, step.width)
            if prefix not in states:
                states[prefix] = step.body(state, context)
            state = states[prefix]
        assert isinstance(state, Tensor)
        outputs.append(state)
    return outputs
