"""Squeeze-excitation with elastic channels and hidden units."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.networks.layers import SqueezeExcitation
from nas.supernets.layers.linear import ElasticLinear


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

    def extract(self, channels: int, hidden: int) -> SqueezeExcitation:
        """The plain layer with its own copies."""
        return SqueezeExcitation(self.reduce.extract(channels, hidden), self.expand.extract(hidden, channels))
