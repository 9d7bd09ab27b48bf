"""Losses on logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor


def label_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of logits [B, K] with labels [B], a share `smoothing` spread over all classes."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def soft_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B, K] with target probabilities [B, K], which must carry no gradient."""
    assert not targets.requires_grad
    return F.cross_entropy(logits, targets)


def soft_targets(logits: Tensor) -> Tensor:
    """Probabilities [B, K] of a teacher's logits at temperature 1, cut from the graph."""
    return torch.softmax(logits.detach(), dim=1)
