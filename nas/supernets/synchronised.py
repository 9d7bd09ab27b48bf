"""Batch norms over the whole batch where several processes hold a share of it each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.supernets.steps import Normalise, NormLayer
from nas.training.parallel import Group, gathered


def by_whole_batch(group: Group) -> Normalise:
    """Normalise by the mean and variance over all shares; outputs and gradients are those of one process.

    Works on every device and back end. All processes must run the same layers in the same order, that is, the same
    architecture; forward and backward exchange 2 C numbers a layer each, over C channels.
    """

    def normalise(norm: NormLayer, x: Tensor) -> Tensor:
        y: Tensor = _WholeBatch.apply(x, *norm.sliced(x.shape[1]), group, norm.eps)  # type: ignore[no-untyped-call]
        return y

    return normalise


class _WholeBatch(torch.autograd.Function):
    """[B, C, H, W], scale [C] and shift [C] to the normalised share."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, group: Group, eps: float) -> Tensor:
        """The mean of shares of equal size is the whole's; to the variance, that of the shares' means is added."""
        c = x.shape[1]
        parts = gathered(group, torch.cat(torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0)))
        means, variances = parts[:, :c], parts[:, c:]
        mean, var = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(var + eps))
        ctx.group, ctx.eps = group, eps
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, torch.backends.cudnn.enabled)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The fused kernel knows this share's sums only; what the others' change is linear in x and added after it."""
        x, weight, mean, inverse = ctx.saved_tensors
        dx, dweight, dbias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, None, None, mean, inverse, True, ctx.eps, [True, True, True]
        )
        own = torch.cat([dbias, dweight])
        whole = ctx.group.sum(own.clone()) / ctx.group.size
        by_shift, by_scale = ((own - whole) * (x.shape[1] / x.numel())).chunk(2)
        slope = weight * inverse * inverse * by_scale
        offset = weight * inverse * by_shift - slope * mean
        dx += torch.addcmul(_per_channel(offset), x, _per_channel(slope)).to(dx.dtype)
        return dx, dweight, dbias, None, None


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
