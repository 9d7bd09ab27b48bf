"""The first entries of weights and maps: what a smaller sub-network uses of a bigger one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def first(weight: Tensor, count: int) -> Tensor:
    """The first `count` entries of the first dimension: a view, or `weight` itself where that is all of them."""
    return weight if len(weight) == count else weight[:count]


def first_channels(x: Tensor, count: int) -> Tensor:
    """The first `count` channels of [B, C, ...]: a view, or `x` itself where that is all of them."""
    return x if x.shape[1] == count else x[:, :count]


def corner(weight: Tensor, out_count: int, in_count: int) -> Tensor:
    """The first `out_count` by `in_count` entries of the first two dimensions: a view, or `weight` itself."""
    return weight if weight.shape[:2] == (out_count, in_count) else weight[:out_count, :in_count]


def own(weight: Tensor) -> nn.Parameter:
    """A contiguous copy as a parameter, for an extracted layer."""
    return nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
