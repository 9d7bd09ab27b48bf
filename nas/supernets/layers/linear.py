"""Linear layers with elastic inputs and outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.supernets.layers.slicing import corner, first, own


class ElasticLinear(nn.Module):
    """A linear layer that uses the first outputs and as many inputs as come in.

    Args:
        in_features: Most inputs.
        out_features: Most outputs.
        bias: Whether there is a bias.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def sliced(self, in_features: int, out_features: int) -> tuple[Tensor, Tensor | None]:
        """(weight [out, in], bias [out]), views."""
        weight = corner(self.weight, out_features, in_features)
        return weight, None if self.bias is None else first(self.bias, out_features)

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """[..., in] to [..., out_features]."""
        return F.linear(x, *self.sliced(x.shape[-1], out_features))

    @torch.no_grad()
    def extract(self, in_features: int, out_features: int) -> nn.Linear:
        """A plain linear layer with its own copies."""
        # On "meta" nothing is drawn: the fresh weights would be thrown away.
        layer = nn.Linear(in_features, out_features, bias=self.bias is not None, device="meta")
        weight, bias = self.sliced(in_features, out_features)
        layer.weight = own(weight)
        if bias is not None:
            layer.bias = own(bias)
        return layer
