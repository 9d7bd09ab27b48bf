"""The optimiser of supernets and of fine-tuning."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn


def sgd(
    network: nn.Module, *, learning_rate: float, weight_decay: float, exempt: Collection[str] = ()
) -> torch.optim.SGD:
    """SGD with Nesterov momentum 0.9.

    Args:
        network: Its parameters.
        learning_rate: Of all of them.
        weight_decay: Of matrices and convolutions; norms and biases, which are vectors, never decay.
        exempt: Names of others that do not decay.
    """
    decay: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (free if parameter.ndim < 2 or name in exempt else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)
