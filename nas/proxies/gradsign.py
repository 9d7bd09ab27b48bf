"""GradSign: how far the gradients of single samples agree in sign at initialisation (Zhang and Jia 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.errors import UsageError
from nas.kernels.sign_accumulate import conv2d_signs, linear_signs
from nas.proxies.per_sample import PerSample, Use, quiet


def gradsign(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """tau = sum over weights k of |sum over samples i of sign(d loss_i / d w_k)|, higher is better.

    The weights of convolutions and linear layers count, biases, norms and embeddings do not. A batch norm normalises
    each sample by its own map, as it does with a batch of one in training mode; where a map has one pixel it only
    scales and shifts. All samples take one forward and one backward pass.

    Args:
        model: Maps x to logits [N, classes]; nothing of it is changed.
        x: Inputs [N, ...].
        y: Classes [N].

    Raises:
        UsageError: No convolution or linear layer was used.
    """
    return float(sum(counts.abs().sum(dtype=torch.float64) for counts in sign_counts(model, x, y).values()))


def sign_counts(model: nn.Module, x: Tensor, y: Tensor) -> dict[Tensor, Tensor]:
    """For each weight, samples with a positive gradient minus samples with a negative one, in the weight's shape.

    Args:
        model, x, y: As for `gradsign`.
    """
    found: dict[Tensor, Tensor] = {}

    def collect(use: Use) -> None:
        if use.weight in found:
            raise UsageError("gradsign cannot take a weight that is used twice in a pass; untie it")
        if use.geometry is None:
            found[use.weight] = linear_signs(use.inputs, use.grads)
        else:
            kernel = (use.weight.shape[2], use.weight.shape[3])
            found[use.weight] = conv2d_signs(use.inputs, use.grads, kernel, **use.geometry._asdict())

    mode = PerSample(collect)

    def loss(sample: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(model(sample.unsqueeze(0)), label.unsqueeze(0))

    with torch.enable_grad(), quiet(model):
        with mode:
            total = torch.vmap(loss)(x, y).sum()
        if total.requires_grad:
            torch.autograd.grad(total, mode.anchor, allow_unused=True)
    if not found:
        raise UsageError("gradsign needs a module that uses a convolution or a linear layer")
    return found
