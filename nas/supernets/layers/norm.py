"""Batch norm with elastic channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.supernets.layers.slicing import first, own
from nas.supernets.statistics import Statistics
from nas.supernets.steps import NormLayer


class ElasticBatchNorm(NormLayer):
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

    def folded(self, weight: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """The weight [C', ...] and bias [C'] of the convolution before this norm that do the work of both."""
        scale, shift = self.sliced(len(weight))
        scale = scale * torch.rsqrt(var + self.eps)
        return weight * scale.view(-1, 1, 1, 1), torch.addcmul(shift, mean, scale, value=-1)

    @torch.no_grad()
    def extract(self, channels: int, statistics: Statistics | None = None) -> nn.BatchNorm2d:
        """A plain batch norm with its own copies of scale and shift.

        Args:
            channels: How many.
            statistics: Become its running mean and variance; without them it has those of no data.
        """
        norm = nn.BatchNorm2d(channels, self.eps, device=self.weight.device)
        scale, shift = self.sliced(channels)
        norm.weight, norm.bias = own(scale), own(shift)
        if statistics is not None:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, var = statistics.layer(self.name)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
        return norm
