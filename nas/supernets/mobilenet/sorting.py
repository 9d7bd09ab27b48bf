"""Channel sorting (Cai et al. 2020): the most important channels first, the function unchanged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from nas.search_spaces.mobilenet.plan import make_divisible
from nas.supernets.layers import ElasticBatchNorm, ElasticLinear
from nas.supernets.mobilenet.block import ElasticBlock
from nas.supernets.mobilenet.supernet import MobileNetSupernet


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
def sort_channels(supernet: MobileNetSupernet, *, expansions: Sequence[int], widths: int) -> None:
    """Sort the channels inside blocks, the hidden units of squeeze-excitation, and the stages' outputs.

    Args:
        supernet: Sorted in place; the largest network's function does not change, nor that of any network
            whose sizes are among the kept ones.
        expansions: Expansion ratios already in use; empty, or the largest, where nothing smaller is.
        widths: How many of each stage's widths, from the largest down, are already in use.
    """
    config = supernet.space.config
    incoming: Sequence[int] = (config.stem_channels,)
    for s, spec in enumerate(config.stages):
        outgoing = spec.widths[-widths:]
        for b in range(spec.depths[-1]):
            block = supernet.block(s, b)
            if block.expand is not None:
                into = incoming if b == 0 else outgoing
                used = [e for e in spec.expansions if e in expansions]
                _sort_inside(block, [c * e for c in into for e in used])
        _sort_outputs(supernet, s, outgoing)
        incoming = outgoing


def _sort_inside(block: ElasticBlock, kept: Sequence[int]) -> None:
    """Reorder the expanded channels of a block by the L1 norm of the projection's columns."""
    assert block.expand is not None
    assert block.expand_norm is not None
    order = order_by_importance(block.project.weight.abs().sum((0, 2, 3)), kept)
    _take(block.expand.weight, order, 0)
    _take_norm(block.expand_norm, order)
    _take_expanded(block, order)
    if block.squeeze is not None:
        hidden = order_by_importance(
            block.squeeze.expand.weight.abs().sum(0), sorted({make_divisible(k // 4) for k in kept})
        )
        _take_linear(block.squeeze.reduce, hidden)
        _take(block.squeeze.expand.weight, hidden, 1)


def _sort_outputs(supernet: MobileNetSupernet, stage: int, kept: Sequence[int]) -> None:
    """Reorder a stage's output channels: all its blocks write them, its later blocks and the next stage read them."""
    config = supernet.space.config
    if len(config.stages[stage].widths) == 1:
        return
    writers = [supernet.block(stage, b) for b in range(config.stages[stage].depths[-1])]
    readers = writers[1:] + ([supernet.block(stage + 1, 0)] if stage + 1 < len(config.stages) else [])
    importance = torch.stack([_reading(reader) for reader in readers]).sum(0) if readers else torch.zeros(())
    if stage + 1 == len(config.stages):
        importance = importance + supernet.head.weight.abs().sum((0, 2, 3))
    order = order_by_importance(importance, kept)
    for writer in writers:
        _take(writer.project.weight, order, 0)
        _take_norm(writer.project_norm, order)
        if writer.shortcut is not None:
            _take(writer.shortcut.weight, order, 0)
    for reader in readers:
        _read_in_order(reader, order)
    if stage + 1 == len(config.stages):
        _take(supernet.head.weight, order, 1)


def _reading(block: ElasticBlock) -> Tensor:
    """How much a block reads of each incoming channel [C]."""
    weight = block.expand.weight if block.expand is not None else block.depthwise.weight.transpose(0, 1)
    return weight.abs().sum((0, 2, 3))


def _read_in_order(block: ElasticBlock, order: Tensor) -> None:
    if block.shortcut is not None:
        _take(block.shortcut.weight, order, 1)
    if block.expand is not None:
        _take(block.expand.weight, order, 1)
        return
    # Without an expand convolution the incoming channels are those of the depthwise convolution.
    _take_expanded(block, order)


def _take_expanded(block: ElasticBlock, order: Tensor) -> None:
    """Reorder the channels between the expand convolution and the projection."""
    _take(block.depthwise.weight, order, 0)
    _take_norm(block.depthwise_norm, order)
    _take(block.project.weight, order, 1)
    if block.squeeze is not None:
        _take(block.squeeze.reduce.weight, order, 1)
        _take_linear(block.squeeze.expand, order)


def _take(weight: Tensor, order: Tensor, dim: int) -> None:
    weight.copy_(weight.index_select(dim, order.to(weight.device)).clone())


def _take_norm(norm: ElasticBatchNorm, order: Tensor) -> None:
    _take(norm.weight, order, 0)
    _take(norm.bias, order, 0)


def _take_linear(linear: ElasticLinear, order: Tensor) -> None:
    _take(linear.weight, order, 0)
    if linear.bias is not None:
        _take(linear.bias, order, 0)
