"""What every extracted layer promises."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def check_own_copy(layer: nn.Module, extracted: nn.Module) -> None:
    """It is plain, trainable, contiguous and on the layer's device; nothing done to it reaches the elastic layer."""
    before = copy.deepcopy(layer.state_dict())
    assert not any(type(part).__module__.startswith("nas.supernets") for part in extracted.modules())
    for parameter in extracted.parameters():
        assert parameter.requires_grad
        assert parameter.is_leaf
        assert parameter.is_contiguous()
        assert parameter.device == next(layer.parameters()).device
        parameter.data.zero_()
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name])


def draws_nothing(before: Tensor) -> bool:
    """Whether torch's own generator is where it was."""
    return torch.equal(torch.get_rng_state(), before)
