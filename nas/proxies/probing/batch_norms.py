"""What batch norms do in a recorded pass: no buffer moves. Arguments have the names that torch calls them by."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor

from nas.errors import UsageError


def normalise_by_batch(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """A batch norm by its batch; no buffer moves."""
    if input.numel() == input.shape[1]:
        raise UsageError("a batch norm sees one value a channel; give a larger batch or larger images")
    return F.batch_norm(input, None, None, weight, bias, training=True, eps=eps)


def normalise_by_sample(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """[n, C, ...] of one sample normalised by itself; where a channel has one value only scale and shift are left."""
    return normalise_samples(input.unsqueeze(0), weight, bias, eps).squeeze(0)


def normalise_samples(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """The same for each sample of [N, n, C, ...]."""
    channels = x.shape[2]
    x = x.transpose(1, 2)
    if x[0, 0].numel() > 1:  # a group a channel: the fastest way that torch has, and it keeps no map of its own
        return F.group_norm(x.flatten(2), channels, weight, bias, eps).view(x.shape).transpose(1, 2)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    x = x if weight is None else x * weight.view(shape)
    return (x if bias is None else x + bias.view(shape)).transpose(1, 2)


def skip_norm(input: Tensor, *_: Any, **__: Any) -> Tensor:
    """No batch norm."""
    return input
