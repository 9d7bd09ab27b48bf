"""Proxies of the weights and their gradients, as Abdelfattah et al. 2021 collected them; higher is better."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.errors import UsageError
from nas.proxies.probing.probe import Probe
from nas.proxies.proxy import Proxy, score_metric


def l2_norm(probe: Probe) -> float:
    """Sum over layers of the weights' Euclidean norm."""
    weights = dict.fromkeys(layer.weight for layer in probe.record.layers)
    return float(sum(weight.detach().norm() for weight in weights))


def grad_norm(probe: Probe) -> float:
    """Sum over layers of the gradients' Euclidean norm."""
    return float(sum(g.norm() for g in probe.gradients[0].values()))


def snip(probe: Probe) -> float:
    """Sum of |theta dL/dtheta| (Lee et al. 2019)."""
    return float(sum((w.detach() * g).abs().sum() for w, g in probe.gradients[0].items()))


def plain(probe: Probe) -> float:
    """Sum of theta dL/dtheta."""
    return float(sum((w.detach() * g).sum() for w, g in probe.gradients[0].items()))


def fisher(probe: Probe) -> float:
    """Sum over weights of half the mean over samples of (sum over positions of a dL/da)^2 (Theis et al. 2018).

    a is the output channel of the weight: a channel counts as often as it has weights.
    """
    total = 0.0
    for layer, grad in zip(probe.record.layers, probe.gradients[1], strict=True):
        if len(layer.output) % len(probe.x):
            raise UsageError("fisher needs samples in the first dimension of a layer's output")
        if grad is not None:
            product = (layer.output.detach() * grad).movedim(layer.channel_dim, 1)
            product = product.flatten(2).sum(2) if product.dim() > 2 else product
            total += float(product.square().mean(0).sum() / 2) * layer.weight.numel() / product.shape[1]
    return total


def grasp(probe: Probe) -> float:
    """-sum of theta (H g), with g the gradient and H the Hessian of the loss (Wang et al. 2020, temperature 1)."""
    with sdpa_kernel(SDPBackend.MATH):  # of torch's ways the one that can be differentiated twice
        record = probe.forward(probe.x)  # a graph of its own
    weights = list(dict.fromkeys(layer.weight for layer in record.layers))
    loss = probe.loss(record, probe.y)
    grads = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    if all(g is None for g in grads):
        return math.nan
    # A gradient that depends on no weight has no second derivative.
    product = sum((g * g.detach()).sum() for g in grads if g is not None)
    if not isinstance(product, Tensor) or not product.requires_grad:
        return 0.0
    second = torch.autograd.grad(product, weights, allow_unused=True)
    return -float(sum((w.detach() * h).sum() for w, h in zip(weights, second, strict=True) if h is not None))


def zico(probe: Probe) -> float:
    """Sum over layers of log(sum over weights of mean |g| / std(g)), over the halves of the batch (Li et al. 2023).

    Weights whose gradients do not vary are left out, as are layers that have no others; NaN where no layer is left.

    Raises:
        UsageError: A batch of one.
    """
    if len(probe.x) < 2:
        raise UsageError("zico compares two halves of a batch; give at least 2 samples")
    parts = []
    for x, y, mask in zip(*(_halves(part, len(probe.x)) for part in (probe.x, probe.y, probe.mask)), strict=True):
        record = probe.forward(x, mask)
        weights = list(dict.fromkeys(layer.weight for layer in record.layers))
        grads = torch.autograd.grad(probe.loss(record, y), weights, allow_unused=True)
        parts.append({w: g for w, g in zip(weights, grads, strict=True) if g is not None})
    total, met = 0.0, False
    for weight, a in parts[0].items():  # in the order of use: a set would sum in another one each time
        if weight not in parts[1]:
            continue
        b = parts[1][weight]
        spread = (a - b).abs() / 2  # the standard deviation of two values
        varied = ~(spread == 0)  # NaN stays
        ratio = float((((a.abs() + b.abs()) / 2)[varied] / spread[varied]).sum(dtype=torch.float64))
        if math.isnan(ratio) or ratio > 0:
            total, met = total + (math.log(ratio) if math.isfinite(ratio) else ratio), True
    return total if met else math.nan


def _halves(part: Tensor | None, n: int) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if part is None else (part[: n // 2], part[n // 2 :])


SNIP = Proxy(score_metric("snip"), snip)
GRASP = Proxy(score_metric("grasp"), grasp)
FISHER = Proxy(score_metric("fisher"), fisher)
GRAD_NORM = Proxy(score_metric("grad_norm"), grad_norm)
L2_NORM = Proxy(score_metric("l2_norm"), l2_norm)
PLAIN = Proxy(score_metric("plain"), plain)
ZICO = Proxy(score_metric("zico"), zico)
