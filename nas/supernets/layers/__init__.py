"""Elastic layers: the biggest weights once, the slice that a call asks for, the plain layer with a copy of it."""

from nas.supernets.layers.convolution import ElasticConv2d, ElasticDepthwiseConv2d, conv_norm_activation
from nas.supernets.layers.initialise import initialise
from nas.supernets.layers.linear import ElasticLinear
from nas.supernets.layers.norm import ElasticBatchNorm
from nas.supernets.layers.squeeze import ElasticSqueezeExcitation

__all__ = [
    "ElasticBatchNorm",
    "ElasticConv2d",
    "ElasticDepthwiseConv2d",
    "ElasticLinear",
    "ElasticSqueezeExcitation",
    "conv_norm_activation",
    "initialise",
]
