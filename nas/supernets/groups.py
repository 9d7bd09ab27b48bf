"""Channel groups: which weights make the same channels and which use them. Sorting needs no more than that."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension of a parameter along which channels lie.

    Args:
        parameter: The parameter's name in the network.
        dim: The dimension.
        block: Consecutive entries that belong to one channel, such as the features of an attention head.
    """

    parameter: str
    dim: int
    block: int = 1


@dataclass(frozen=True, slots=True)
class ChannelGroup:
    """Channels that several parameters share: whoever reorders or removes some does so along every axis at once.

    Args:
        name: For people.
        writers: Axes of what makes a channel, or works on it alone: outputs of convolutions, norms, depthwise kernels.
        readers: Axes of what makes other channels of it.
        genes: The genes that say how many channels an architecture uses; it uses the first ones.
        counts: How many, by the position of the choice of each of these genes; without genes by ().
        ranked_by: Axes whose weights say how important a channel is; None for all readers.
    """

    name: str
    writers: tuple[Axis, ...]
    readers: tuple[Axis, ...]
    genes: tuple[str, ...]
    counts: Mapping[tuple[int, ...], int]
    ranked_by: tuple[Axis, ...] | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Writers and readers."""
        return self.writers + self.readers

    @property
    def channels(self) -> int:
        """All of them."""
        return max(self.counts.values())

    def count(self, positions: Mapping[str, int]) -> int:
        """How many an architecture uses; 0 where one of the genes does not exist in it.

        Args:
            positions: Of its choices, by gene; -1 where a gene does not exist.
        """
        return self.counts.get(tuple(positions[gene] for gene in self.genes), 0)

    def counts_from(self, lowest: Mapping[str, int]) -> list[int]:
        """The counts, ascending, of architectures whose choices are at these positions or above.

        Args:
            lowest: A position for every gene.
        """
        first = [lowest[gene] for gene in self.genes]
        inside = (at for at in self.counts if all(i >= low for i, low in zip(at, first, strict=True)))
        return sorted({self.counts[at] for at in inside})


def importance(network: nn.Module, group: ChannelGroup) -> Tensor:
    """[C]: the L1 norm of the weights that a channel is ranked by (Cai et al. 2020); larger is more important."""
    axes = group.readers if group.ranked_by is None else group.ranked_by
    return torch.stack([_magnitudes(network.get_parameter(axis.parameter), axis) for axis in axes]).sum(0)


def _magnitudes(weight: Tensor, axis: Axis) -> Tensor:
    others = [dim for dim in range(weight.ndim) if dim != axis.dim]
    entries = weight.abs().sum(others) if others else weight.abs()
    return entries if axis.block == 1 else entries.view(-1, axis.block).sum(1)


def order_by_importance(importance: Tensor, kept: Sequence[int]) -> Tensor:
    """Positions [C] by descending importance, sorted only inside the bands that end at the sizes in `kept`.

    A channel never crosses a size that smaller networks already use: what they learned stays theirs.
    Ties keep their order.

    Args:
        importance: One score a channel [C].
        kept: Channel counts that are in use already, besides all of them.
    """
    edges = sorted({0, *(k for k in kept if 0 < k < len(importance)), len(importance)})
    bands = [a + torch.argsort(importance[a:b], descending=True, stable=True) for a, b in itertools.pairwise(edges)]
    return torch.cat(bands)


@torch.no_grad()
def permute(network: nn.Module, group: ChannelGroup, order: Tensor) -> None:
    """Reorder the channels of a group in place, in all parameters at once.

    Args:
        network: Whose parameters.
        group: The channels.
        order: [C]: the present position of each channel that comes here.
    """
    for axis in group.axes:
        weight = network.get_parameter(axis.parameter)
        entries = order.to(weight.device)
        if axis.block > 1:
            entries = (entries[:, None] * axis.block + torch.arange(axis.block, device=weight.device)).flatten()
        weight.copy_(weight.index_select(axis.dim, entries))


def sort_channels(network: nn.Module, groups: Sequence[ChannelGroup], lowest: Mapping[str, int]) -> None:
    """Put the most important channels first, group after group (Cai et al. 2020).

    The function of the largest network does not change, nor that of any architecture with choices at the `lowest`
    positions or above. Groups without genes, which every architecture uses whole, stay as they are.

    Args:
        network: Sorted in place.
        groups: Its groups.
        lowest: For every gene the position of the smallest choice that is in use already.
    """
    for group in groups:
        if group.genes:
            permute(network, group, order_by_importance(importance(network, group), group.counts_from(lowest)))
