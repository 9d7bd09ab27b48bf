"""Elastic layers: the biggest weights once, and the slice that a call asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn


def first(weight: Tensor, count: int) -> Tensor:
    """The first `count` entries of the first dimension: a view, or `weight` itself where that is all of them."""
    return weight if len(weight) == count else weight[:count]


def first_channels(x: Tensor, count: int) -> Tensor:
    """The first `count` channels of [B, C, H, W]: a view, or `x` itself where that is all of them."""
    return x if x.shape[1] == count else x[:, :count]


def corner(weight: Tensor, out_count: int, in_count: int) -> Tensor:
    """The first `out_count` by `in_count` entries of the first two dimensions: a view, or `weight` itself."""
    return weight if weight.shape[:2] == (out_count, in_count) else weight[:out_count, :in_count]


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


def centre_crop(weight: Tensor, size: int) -> Tensor:
    """[C, 1, k, k] to its central [C, 1, size, size], a view."""
    edge = (weight.shape[-1] - size) // 2
    return weight[..., edge : edge + size, edge : edge + size]


class ElasticLinear(nn.Module):
    """A linear layer that uses the first outputs and as many inputs as come in.

    Args:
        in_features: Most inputs.
        out_features: Most outputs.
        bias: Whether there is a bias.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def sliced(self, in_features: int, out_features: int) -> tuple[Tensor, Tensor | None]:
        """(weight [out, in], bias [out]), views."""
        weight = corner(self.weight, out_features, in_features)
        return weight, None if self.bias is None else first(self.bias, out_features)

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """[..., in] to [..., out_features]."""
        return F.linear(x, *self.sliced(x.shape[-1], out_features))


class ElasticSqueezeExcitation(nn.Module):
    """Channel gates from the pooled map: linear, ReLU, linear, hard sigmoid.

    Args:
        channels: Most channels.
        hidden: Most hidden units.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = ElasticLinear(channels, hidden, bias=True)
        self.expand = ElasticLinear(hidden, channels, bias=True)

    def forward(self, x: Tensor, hidden: int) -> Tensor:
        """[B, C, H, W] to the same shape, with `hidden` units in between; overwrites `x` where gradients are off."""
        if torch.is_grad_enabled():
            return x * self.gate(x.mean((2, 3)), hidden)
        # The same mean, on the CPU faster forward and slower backward; figures in results/LOG.md.
        return x.mul_(self.gate(F.avg_pool2d(x, x.shape[2:]).flatten(1), hidden))

    def gate(self, pooled: Tensor, hidden: int) -> Tensor:
        """What to multiply by, [B, C, 1, 1], for the means of the maps [B, C]."""
        inner = F.relu(self.reduce(pooled, hidden))
        return F.hardsigmoid(self.expand(inner, pooled.shape[1]))[:, :, None, None]


class ElasticBatchNorm(nn.Module):
    """Scale and shift of a batch norm over the first channels; statistics always come from outside.

    Args:
        channels: Most channels.
        name: Its name in `Statistics`.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, name: str, eps: float = 1e-5) -> None:
        super().__init__()
        self.name = name
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def sliced(self, channels: int) -> tuple[Tensor, Tensor]:
        """(scale [channels], shift [channels]), views."""
        return first(self.weight, channels), first(self.bias, channels)

    def by_batch(self, x: Tensor) -> Tensor:
        """[B, C, H, W], normalised by the batch's own mean and variance."""
        return F.batch_norm(x, None, None, *self.sliced(x.shape[1]), training=True, eps=self.eps)

    def by_given(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """[B, C, H, W], normalised by the given mean [C] and variance [C]."""
        weight, bias = self.sliced(x.shape[1])
        # torch.nn.functional.batch_norm without its checks, which cost as much as a small map's normalisation.
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, self.eps, torch.backends.cudnn.enabled)

    def folded(self, weight: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """The weight [C', ...] and bias [C'] of the convolution before this norm that do the work of both."""
        scale, shift = self.sliced(len(weight))
        scale = scale * torch.rsqrt(var + self.eps)
        return weight * scale.view(-1, 1, 1, 1), torch.addcmul(shift, mean, scale, value=-1)

    def measured(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, C, H, W] normalised by the batch, with that mean [C] and biased variance [C].

        Overwrites `x` on the CPU where gradients are off.
        """
        c, n = x.shape[1], x.numel() // x.shape[1]
        weight, bias = self.sliced(c)
        # With momentum 1 the native kernels hand out the statistics that they compute anyway, the variance unbiased.
        mean, var = x.new_zeros(c, dtype=torch.float32), x.new_ones(c, dtype=torch.float32)
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32 or n == 1:
            y = F.batch_norm(x, mean, var, weight, bias, training=True, momentum=1.0, eps=self.eps)
            return y, mean, var * ((n - 1) / n)
        # The same without a second tensor, which is faster; figures in results/LOG.md.
        torch.batch_norm_update_stats(x, mean, var, 1.0)
        var *= (n - 1) / n
        scale = weight * torch.rsqrt(var + self.eps)
        shift = torch.addcmul(bias, mean, scale, value=-1)
        return torch.addcmul(shift.view(-1, 1, 1), x, scale.view(-1, 1, 1), out=x), mean, var


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of elastic layers: He normal over fan-out for convolutions, uniform for linear layers."""
    for layer in module.modules():
        if isinstance(layer, ElasticConv2d | ElasticDepthwiseConv2d):
            depthwise = isinstance(layer, ElasticDepthwiseConv2d)
            fan_out = (1 if depthwise else layer.weight.shape[0]) * layer.weight.shape[-1] ** 2
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out), generator=generator)
        elif isinstance(layer, ElasticLinear):
            bound = 1 / math.sqrt(layer.weight.shape[1])
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
