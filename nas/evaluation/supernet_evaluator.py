"""Accuracy of sub-networks with inherited weights, after calibrating their batch norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.data import ImageData
from nas.errors import UsageError
from nas.evaluation.evaluator import Metrics
from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet, calibrate
from nas.supernets.training import check_fits


class SupernetEvaluator:
    """Scores architectures by the weights they inherit.

    Args:
        supernet: The shared weights; nothing of them changes but eval mode is set.
        data: The images: its calibration split for batch norms, `split` for scores.
        split: "validation" reports `accuracy` and `loss`, what a search selects on; "test" reports `test_accuracy`
            and `test_loss`, which no search sees.
        batch_size: Images a pass.
        device: "cpu" or "cuda".

    Raises:
        UsageError: The data do not fit the supernet, or no such split.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        *,
        split: Literal["validation", "test"] = "validation",
        batch_size: int = 500,
        device: str = "cpu",
    ) -> None:
        if split not in ("validation", "test"):
            raise UsageError(f"split must be 'validation' or 'test', got {split!r}")
        check_fits(supernet.space, data)
        self._supernet = supernet.to(device).eval()
        self._prefix = "test_" if split == "test" else ""
        self._calibration = _normalised(data, data.calibration.images, device)
        chosen = data.split(split)
        self._images = _normalised(data, chosen.images, device)
        self._labels = chosen.labels.to(device)
        self._batch_size = batch_size

    def statistics(self, arch: Architecture) -> Statistics:
        """Batch-norm statistics of `arch` on the calibration split."""
        return calibrate(self._supernet, [arch], self._calibration)[0]

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """Accuracy (a fraction) and mean cross-entropy of each architecture; identical ones are scored once."""
        unique = {arch: self._score(arch) for arch in dict.fromkeys(archs)}
        return [dict(unique[arch]) for arch in archs]

    @torch.no_grad()
    def _score(self, arch: Architecture) -> Metrics:
        network = self._supernet.extract(arch, self.statistics(arch)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        metrics = score(network, self._images, self._labels, batch_size=self._batch_size)
        return {self._prefix + name: value for name, value in metrics.items()}


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


def _normalised(data: ImageData, images: Tensor, device: str) -> Tensor:
    return data.preprocessing.normalise(images.to(device)).contiguous(memory_format=torch.channels_last)
