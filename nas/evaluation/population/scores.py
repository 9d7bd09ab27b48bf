"""Right and wrong answers and losses: of one network, and of a population image by image."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.evaluation.evaluator import PARTIAL, Metrics


@torch.no_grad()
def score(network: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int = 500) -> Metrics:
    """Accuracy (a fraction) and mean cross-entropy of a network in eval mode.

    Args:
        network: Maps normalised images to logits [B, K].
        images: Normalised images [N, C, H, W].
        labels: [N].
        batch_size: Images a pass.
    """
    right, loss = 0, 0.0
    for start in range(0, len(labels), batch_size):
        x, y = images[start : start + batch_size], labels[start : start + batch_size]
        logits = network(x)
        right += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return {"accuracy": right / len(labels), "loss": loss / len(labels)}


@final
class Scores:
    """What each member of a population answered, image by image, as far as it was asked.

    Args:
        members: How many.
        labels: [N], in the order in which images are shown.
    """

    def __init__(self, members: int, labels: Tensor) -> None:
        self._labels = labels
        self.right = torch.zeros(members, len(labels), dtype=torch.bool, device=labels.device)
        self.losses = torch.zeros(members, len(labels), device=labels.device)
        self.counts = [0] * members

    def add(self, member: int, start: int, logits: Tensor) -> None:
        """Take the logits [B, K] of the images from `start` on."""
        chunk = slice(start, start + len(logits))
        logits, labels = logits.float(), self._labels[chunk]
        self.right[member, chunk] = logits.argmax(1) == labels
        self.losses[member, chunk] = F.cross_entropy(logits, labels, reduction="none")
        self.counts[member] = chunk.stop

    def metrics(self) -> list[Metrics]:
        """Accuracy and mean cross-entropy of each member, on the images that it saw.

        One that was stopped before the last image says so: `partial_images` is how many it saw.
        """
        right, losses = self.right.sum(1).tolist(), self.losses.sum(1, dtype=torch.float64).tolist()
        metrics = []
        for n, hits, loss in zip(self.counts, right, losses, strict=True):
            partial = {} if n == len(self._labels) else {PARTIAL: float(n)}
            metrics.append({"accuracy": hits / n, "loss": loss / n, **partial})
        return metrics
