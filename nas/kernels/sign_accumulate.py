"""The sum over samples of the signs of a layer's weight gradients, without holding one gradient a sample.

With inputs a [L, K] at L positions and output gradients g [L, M] the gradient of one sample is g^T a [M, K]. Its sign
needs the sum over positions to be complete, so samples are taken a chunk at a time; with one position the sign of the
product is the product of the signs, and one matrix product does it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor

CHUNK_BYTES = 32 * 2**20  # of one chunk's gradients and unfolded inputs


def linear_signs(inputs: Tensor, grads: Tensor) -> Tensor:
    """[M, K]: for each weight of a linear layer, samples with a positive gradient minus those with a negative one.

    Args:
        inputs: [N, L, K].
        grads: Gradient of the summed loss with respect to the outputs, [N, L, M].
    """
    n, length, k = inputs.shape
    m = grads.shape[2]
    if length == 1:
        return grads[:, 0].sign().T @ inputs[:, 0].sign()
    found = grads.new_zeros(m, k)
    for a, g in _chunks(inputs, grads, m * k):
        found += torch.bmm(g.transpose(1, 2), a).sign_().sum(0)
    return found


def conv2d_signs(
    inputs: Tensor, grads: Tensor, kernel: tuple[int, int], *, stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], groups: int,
) -> Tensor:  # fmt: skip
    """[M, C / groups, k, k]: as `linear_signs`, for a convolution.

    Args:
        inputs: [N, C, H, W].
        grads: [N, M, H', W'].
        kernel: Height and width.
        stride, padding, dilation, groups: Of the convolution.
    """
    n, channels = inputs.shape[:2]
    m, taps = grads.shape[1], kernel[0] * kernel[1]
    fan_in = channels // groups * taps
    positions = grads.shape[2] * grads.shape[3]
    found = grads.new_zeros(groups, m // groups, fan_in)
    for x, g in _chunks(inputs, grads, m * fan_in + channels * taps * positions):
        if taps == 1 and stride == (1, 1) and padding == (0, 0):
            a = x.reshape(len(x), channels, positions)
        else:
            a = F.unfold(x, kernel, dilation=dilation, padding=padding, stride=stride)
        a = a.reshape(len(x), groups, fan_in, positions)
        g = g.reshape(len(x), groups, m // groups, positions)
        found += torch.matmul(g, a.transpose(2, 3)).sign_().sum(0)
    return found.view(m, channels // groups, *kernel)


def _chunks(inputs: Tensor, grads: Tensor, scalars: int) -> list[tuple[Tensor, Tensor]]:
    """Both cut into so many samples that `scalars` for each of them fit a chunk."""
    size = max(1, CHUNK_BYTES // (scalars * grads.element_size()))
    return list(zip(inputs.split(size), grads.split(size), strict=True))
