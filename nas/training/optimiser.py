"""The optimiser of supernets and of fine-tuning."""

from __future__ import annotations

import torch
from torch import nn


def sgd(network: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum 0.9; norms and biases (vectors) do not decay, nor do kernel transforms.

    A transform starts as the identity, so that decay would pull it away from leaving the kernel as it is.
    """
    decay: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (free if parameter.ndim < 2 or ".transforms." in name else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)
