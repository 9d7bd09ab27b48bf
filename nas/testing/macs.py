"""Multiply-adds counted where they happen: in the functions that a pass calls."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import nn
from torch.overrides import TorchFunctionMode


class _Counter(TorchFunctionMode):
    """Adds up convolutions, linear layers, matrix products and elementwise multiply-adds."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is F.conv2d:
            self.total += out.numel() * args[1][0].numel()
        elif func in (F.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__):
            self.total += out.numel() * args[0].shape[-1]
        elif func is torch.addcmul:
            self.total += out.numel()
        else:
            assert func not in (torch.bmm, torch.mm, torch.einsum, torch.conv1d, torch.conv2d), "not counted"
        return out


def count_macs(network: nn.Module, *inputs: Any) -> int:
    """Of one pass in eval mode."""
    with torch.no_grad(), _Counter() as counter:
        network.eval()(*inputs)
    return int(counter.total)
