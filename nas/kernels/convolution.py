"""A convolution with its weights prepacked once: plain, or with its nonlinearity in one kernel of oneDNN."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor

from nas.search_spaces.mobilenet.plan import Activation

_KERNELS = ("_convolution_pointwise", "_linear_pointwise", "_reorder_convolution_weight")
_HAS_KERNELS = bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in _KERNELS)
_POST = {None: "none", "relu": "relu", "hswish": "hardswish"}


@dataclass(frozen=True, slots=True)
class Convolution(ABC):
    """Weights, ready for use.

    Args:
        weight: In the kernel's own layout.
        bias: [C'].
        stride: Of the convolution.
        groups: Of the convolution.
    """

    weight: Tensor
    bias: Tensor | None
    stride: int
    groups: int

    @property
    def nbytes(self) -> int:
        """What it holds in memory."""
        held = (self.weight,) if self.bias is None else (self.weight, self.bias)
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    @abstractmethod
    def __call__(self, x: Tensor, activation: Activation | None) -> Tensor:
        """[B, C, H, W] to [B, C', H', W'] in channels_last, bias and nonlinearity included; odd kernels are centred."""


def activated(x: Tensor, kind: Activation | None) -> Tensor:
    """The nonlinearity called `kind`; overwrites `x`, the output of a batch norm, where the gradient allows it."""
    if kind is None:
        return x
    if kind == "relu":
        return F.relu_(x)
    return F.hardswish(x, inplace=not x.requires_grad)


@final
class Plain(Convolution):
    """torch's convolution: the reference, and the only one with gradients; weights [C', C / groups, k, k]."""

    __slots__ = ()

    def __call__(self, x: Tensor, activation: Activation | None) -> Tensor:
        """See `Convolution`."""
        padding = self.weight.shape[-1] // 2
        y = F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=padding, groups=self.groups)
        # Of one-channel images torch cannot tell the memory format and goes on with the one in which
        # gradients of depthwise convolutions take twice as long.
        return activated(y.contiguous(memory_format=torch.channels_last), activation)


@final
class Fused(Convolution):
    """oneDNN's kernels with the nonlinearity inside: one pass over the output.

    Equal to `Plain` but for rounding. Weights are [C', C / groups, k, k] in oneDNN's own layout, or [C', C] for a
    1x1 convolution of stride 1, which is a matrix product over positions.
    """

    __slots__ = ()

    def __call__(self, x: Tensor, activation: Activation | None) -> Tensor:
        """See `Convolution`."""
        post = _POST[activation]
        if self.weight.dim() == 2:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x.permute(0, 2, 3, 1), self.weight, self.bias, post, [], "")
            return y.permute(0, 3, 1, 2)
        padding, stride = [self.weight.shape[-1] // 2] * 2, [self.stride] * 2
        y = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, padding, stride, [1, 1], self.groups, post, [], ""
        )
        return y.contiguous(memory_format=torch.channels_last)


def prepacked(weight: Tensor, bias: Tensor | None, x: Tensor, *, stride: int, groups: int) -> Convolution:
    """The fastest kernel for inputs like `x` [B, C, H, W] without gradients, with the weights in its layout.

    Args:
        weight: [C', C / groups, k, k].
        bias: [C'].
        x: An input.
        stride: Of the convolution.
        groups: Of the convolution.
    """
    if not _fits(weight, x):
        return Plain(weight, bias, stride, groups)
    if weight.shape[-1] == 1 and stride == 1 and groups == 1:
        # Prepacking a matrix costs as much as ten products gain by it.
        return Fused(weight.reshape(weight.shape[:2]).contiguous(), bias, stride, groups)
    padding = [weight.shape[-1] // 2] * 2
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(), padding, [stride] * 2, [1, 1], groups, list(x.shape)
    )
    return Fused(packed, bias, stride, groups)


def _fits(weight: Tensor, x: Tensor) -> bool:
    """Whether oneDNN's fused kernels are there and compute the same as torch would."""
    return (
        not torch.is_grad_enabled()
        and weight.device.type == "cpu"
        and weight.dtype == x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and _HAS_KERNELS
        and bool(torch.backends.mkldnn.enabled)
    )
