"""Optimisers by name, and one update with clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from nas.errors import UnknownName

CLIP_NORM = 5.0
Groups = list[dict[str, Any]]


def _sgd(groups: Groups, learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)


def _adamw(groups: Groups, learning_rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=learning_rate)


# SGD with Nesterov momentum 0.9; AdamW (Loshchilov and Hutter 2019) with torch's betas.
OPTIMISERS: dict[str, Callable[[Groups, float], torch.optim.Optimizer]] = {"sgd": _sgd, "adamw": _adamw}


def check_optimiser(name: str) -> None:
    """Refuse a name that is no optimiser.

    Raises:
        UnknownName: Names the nearest.
    """
    if name not in OPTIMISERS:
        raise UnknownName("optimiser", name, OPTIMISERS)


def optimiser(
    name: str, network: nn.Module, *, learning_rate: float, weight_decay: float, exempt: Collection[str] = ()
) -> torch.optim.Optimizer:
    """An optimiser of all parameters.

    Args:
        name: "sgd" or "adamw".
        network: Its parameters.
        learning_rate: Of all of them.
        weight_decay: Of matrices and convolutions; norms and biases, which are vectors, never decay.
        exempt: Names of others that do not decay.

    Raises:
        UnknownName: No such optimiser.
    """
    check_optimiser(name)
    decay: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for each, parameter in network.named_parameters():
        (free if parameter.ndim < 2 or each in exempt else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return OPTIMISERS[name](groups, learning_rate)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def update(optimiser: torch.optim.Optimizer, network: nn.Module, loss: float) -> bool:
    """Clip the gradient's norm and take one step.

    Args:
        optimiser: Of the network's parameters.
        network: With gradients.
        loss: That they are of.

    Returns:
        False, and no weight has changed, where the loss or the gradient is not finite.
    """
    norm = nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
    if not math.isfinite(loss) or not bool(torch.isfinite(norm)):
        return False
    optimiser.step()
    return True


def autocast(device: str) -> AbstractContextManager[object]:
    """bfloat16 where it is fast, on CUDA."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.startswith("cuda") else nullcontext()
