"""Convolutions with elastic channels and kernel sizes, alone and with the batch norm and nonlinearity behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.kernels.convolution import Convolution, Plain, activated, prepacked
from nas.search_spaces.mobilenet.plan import Activation
from nas.supernets.layers.norm import ElasticBatchNorm
from nas.supernets.layers.slicing import corner, first, own
from nas.supernets.steps import Context


class ElasticConv2d(nn.Module):
    """A convolution that uses the first output channels and as many input channels as come in.

    Args:
        in_channels: Most input channels.
        out_channels: Most output channels.
        kernel: Kernel size; padding keeps the map size.
        stride: Stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))

    def sliced(self, in_channels: int, out_channels: int) -> Tensor:
        """[out_channels, in_channels, k, k], a view."""
        return corner(self.weight, out_channels, in_channels)

    def forward(self, x: Tensor, out_channels: int) -> Tensor:
        """[B, C, H, W] to [B, out_channels, H', W']."""
        weight = self.sliced(x.shape[1], out_channels)
        return F.conv2d(x, weight, stride=self.stride, padding=self.weight.shape[-1] // 2)

    def extract(self, in_channels: int, out_channels: int) -> nn.Conv2d:
        """A plain convolution with its own copy of the slice."""
        return _plain(self.sliced(in_channels, out_channels), self.stride)


class ElasticDepthwiseConv2d(nn.Module):
    """A depthwise convolution with elastic channels and kernel size (Cai et al. 2020, section 3.3).

    A smaller kernel is the centre of the next bigger one, multiplied by a learned matrix
    shared by all channels, or left as it is (BigNAS).

    Args:
        channels: Most channels.
        kernels: Kernel sizes, ascending, odd.
        stride: Stride.
        transform: Whether smaller kernels have learned matrices; they start as identities.
    """

    def __init__(self, channels: int, kernels: Sequence[int], stride: int, *, transform: bool) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(channels, 1, kernels[-1], kernels[-1]))
        smaller = self.kernels[:-1] if transform else ()
        self.transforms = nn.ParameterDict({str(k): nn.Parameter(torch.eye(k * k)) for k in smaller})

    def sliced(self, channels: int, kernel: int) -> Tensor:
        """[channels, 1, kernel, kernel]."""
        if kernel == self.kernels[-1]:
            return first(self.weight, channels)
        if not self.transforms:
            return centre_crop(first(self.weight, channels), kernel)
        biggest = centre_crop(first(self.weight, channels), self.kernels[-2])
        matrix = self.transform(kernel)
        return (biggest.reshape(channels, -1) @ matrix.T).view(channels, 1, kernel, kernel)

    def transform(self, kernel: int) -> Tensor:
        """[k * k, s * s]: from the centre crop of the second biggest size s to `kernel` = k, all steps in one matrix.

        Size after size: a step crops the result of the step before, that is, takes some of its rows.
        """
        size = self.kernels[-2]
        matrix: Tensor = self.transforms[str(size)]
        for smaller in reversed(self.kernels[:-2]):
            if size <= kernel:
                break
            rows = centre_crop(matrix.T.view(1, -1, size, size), smaller).reshape(-1, smaller**2).T
            matrix, size = self.transforms[str(smaller)] @ rows, smaller
        return matrix

    def forward(self, x: Tensor, kernel: int) -> Tensor:
        """[B, C, H, W] to [B, C, H', W']."""
        weight = self.sliced(x.shape[1], kernel)
        return F.conv2d(x, weight, stride=self.stride, padding=kernel // 2, groups=x.shape[1])

    def extract(self, channels: int, kernel: int) -> nn.Conv2d:
        """A plain depthwise convolution with its own copy of the kernel, already transformed."""
        return _plain(self.sliced(channels, kernel), self.stride, groups=channels)


def centre_crop(weight: Tensor, size: int) -> Tensor:
    """[C, 1, k, k] to its central [C, 1, size, size], a view."""
    edge = (weight.shape[-1] - size) // 2
    return weight[..., edge : edge + size, edge : edge + size]


def conv_norm_activation(
    x: Tensor, sliced: Callable[[], Tensor], norm: ElasticBatchNorm, activation: Activation | None, context: Context,
    *, stride: int = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolution, batch norm, nonlinearity: [B, C, H, W] to [B, C', H', W'].

    Args:
        x: [B, C, H, W].
        sliced: Makes the weight [C', C / groups, k, k]; padding keeps the map size at stride 1. It is not called where
            the convolution is prepared.
        norm: The batch norm behind it.
        activation: None for a linear unit.
        context: How to normalise. Folded statistics join the weight; a prepared convolution is kept under the norm's
            name.
        stride: Of the convolution.
        groups: Of the convolution.
    """
    convolution = context.prepared.get(norm.name) if context.prepared is not None else None
    if convolution is None:
        convolution = _convolution(x, sliced, norm, context, stride, groups)
    assert isinstance(convolution, Convolution)
    if context.folded is not None:
        return convolution(x, activation)
    return activated(context.normalise(norm, convolution(x, None)), activation)


def _convolution(
    x: Tensor, sliced: Callable[[], Tensor], norm: ElasticBatchNorm, context: Context, stride: int, groups: int
) -> Convolution:
    weight, bias = sliced(), None
    if context.folded is not None:
        weight, bias = norm.folded(weight, *context.folded.layer(norm.name))
    if context.prepared is None:
        return Plain(weight, bias, stride, groups)
    context.prepared[norm.name] = made = prepacked(weight, bias, x, stride=stride, groups=groups)
    return made


@torch.no_grad()
def _plain(weight: Tensor, stride: int, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias with its own copy of a weight [C', C / groups, k, k]."""
    c_out, c_in, kernel, _ = weight.shape
    # On "meta" nothing is drawn: the fresh weights would be thrown away.
    layer = nn.Conv2d(
        c_in * groups, c_out, kernel, stride, kernel // 2, groups=groups, bias=False, device="meta"
    )  # fmt: skip
    layer.weight = own(weight)
    return layer
