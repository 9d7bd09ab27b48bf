"""Proxies of the weights and their gradients (Abdelfattah et al. 2021): functions of a `Probe`, higher is better."""

from __future__ import annotations

from nas.proxies.probe import Probe


def l2_norm(probe: Probe) -> float:
    """Sum over layers of the weights' Euclidean norm."""
    weights = dict.fromkeys(layer.weight for layer in probe.layers)
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
    """Sum over channels of half the mean over samples of (sum over positions of a dL/da)^2 (Theis et al. 2018)."""
    total = 0.0
    for layer, grad in zip(probe.layers, probe.gradients[1], strict=True):
        if grad is not None:
            product = (layer.output.detach() * grad).movedim(layer.channels, 1)
            product = product.flatten(2).sum(2) if product.dim() > 2 else product
            total += float(product.square().mean(0).sum() / 2)
    return total
