"""Plain layers that networks of several families have."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Channel gates from the pooled map: linear, ReLU, linear, hard sigmoid.

    Args:
        reduce: From channels to hidden units.
        expand: Back.
    """

    def __init__(self, reduce: nn.Linear, expand: nn.Linear) -> None:
        super().__init__()
        self.reduce = reduce
        self.expand = expand

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        gate = F.relu(self.reduce(x.mean((2, 3))))
        return x * F.hardsigmoid(self.expand(gate))[:, :, None, None]
