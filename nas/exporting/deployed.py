"""A sub-network as it leaves the platform: normalisation inside, class names beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nas.data import Preprocessing
from nas.errors import UsageError
from nas.search_spaces import Architecture, SearchSpace


class Deployed(nn.Module):
    """A plain network that takes images as they are.

    Args:
        network: Maps normalised images to logits, in eval mode.
        arch: Its architecture.
        space: The space of that architecture.
        preprocessing: Normalisation, input size and class names.
        metrics: Figures that travel with it, such as its measured accuracy.

    Raises:
        UsageError: The preprocessing is not for the space's images and classes.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        arch: Architecture,
        space: SearchSpace,
        preprocessing: Preprocessing,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        space.task.require(preprocessing.task, what="its data")
        self.network = network
        self.arch = arch
        self.space = space
        self.preprocessing = preprocessing
        self.metrics = dict(metrics or {})
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1), persistent=False)
        self.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the logits."""
        return self.preprocessing.class_names

    @property
    def input_size(self) -> int:
        """Height and width of the images."""
        return self.preprocessing.input_size

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], floats in 0..1, to logits [B, K].

        Raises:
            UsageError: They are integers, or of another shape than [B, C, H, W] of this network.
        """
        wanted = self.space.task.input_shape
        if not images.is_floating_point():
            raise UsageError(f"images must be floats in 0..1, got {images.dtype}; divide uint8 images by 255")
        if images.ndim != 4 or tuple(images.shape[1:]) != wanted:
            raise UsageError(f"images must be [batch, {', '.join(map(str, wanted))}], got {list(images.shape)}")
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits

    def describe(self) -> dict[str, Any]:
        """What travels beside the weights: space, architecture, preprocessing and metrics, as JSON."""
        return {
            "space": self.space.to_json(),
            "architecture": self.arch.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "metrics": self.metrics,
            "input": "float32 [batch, channels, height, width], values 0..1, not normalised",
            "output": "float32 [batch, classes], logits",
        }
