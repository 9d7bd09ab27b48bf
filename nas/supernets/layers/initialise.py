"""Fresh weights of elastic layers."""

from __future__ import annotations

import math

import torch
from torch import nn

from nas.supernets.layers.convolution import ElasticConv2d, ElasticDepthwiseConv2d
from nas.supernets.layers.linear import ElasticLinear


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
