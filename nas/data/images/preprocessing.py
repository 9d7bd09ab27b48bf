"""How images become a network's input, and what its outputs are called."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas.data.preprocessing import Preprocessing
from nas.errors import CheckpointError, DataError, UsageError
from nas.task import ImageClassification


@dataclass(frozen=True, slots=True)
class ImagePreprocessing(Preprocessing):
    """What turns stored images into a network's input, and its output into names.

    Args:
        input_size: Height and width.
        in_channels: Channels.
        mean, std: Per channel, of images scaled to 0..1.
        class_names: Names of the classes, by label.
    """

    kind: ClassVar[str] = "images"
    inputs: ClassVar[str] = "float32 [batch, channels, height, width], values 0..1, not normalised"
    outputs: ClassVar[str] = "float32 [batch, classes], logits"

    input_size: int
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]

    @property
    def task(self) -> ImageClassification:
        """What it is for."""
        return ImageClassification(self.input_size, self.in_channels, len(self.class_names))

    def normalise(self, images: Tensor) -> Tensor:
        """(images / 255 - mean) / std per channel.

        Args:
            images: uint8 [B, C, H, W], on any device.

        Returns:
            float32 [B, C, H, W], on the same device and in the same memory format.

        Raises:
            DataError: Another dtype, or another number of channels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != self.in_channels:
            got = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise DataError(f"images must be uint8 [B, {self.in_channels}, H, W], got {got}")
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return images.float().div_(255).sub_(mean).div_(std)

    def deployed(self, network: nn.Module) -> nn.Module:
        """See `Preprocessing`: images in 0..1 are normalised first."""
        return Normalised(network, self.mean, self.std)

    def check(self, inputs: Tensor) -> None:
        """Images [B, C, H, W] of the network's size, floats in 0..1.

        Raises:
            UsageError: They are integers, or of another shape.
        """
        wanted = self.task.input_shape
        if not inputs.is_floating_point():
            raise UsageError(f"images must be floats in 0..1, got {inputs.dtype}; divide uint8 images by 255")
        if inputs.ndim != 4 or tuple(inputs.shape[1:]) != wanted:
            raise UsageError(f"images must be [batch, {', '.join(map(str, wanted))}], got {list(inputs.shape)}")

    def example(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Uniform noise."""
        return torch.rand(count, *self.task.input_shape, generator=generator)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind,
            "input_size": self.input_size,
            "in_channels": self.in_channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "class_names": list(self.class_names),
        }

    @classmethod
    def from_json(cls, document: Any) -> ImagePreprocessing:
        """What `to_json` wrote.

        Raises:
            CheckpointError: The document is of another form.
        """
        keys = ("input_size", "in_channels", "mean", "std", "class_names")
        if not isinstance(document, Mapping) or not all(key in document for key in keys):
            raise CheckpointError(f"preprocessing must be a JSON object with {', '.join(keys)}")
        size, channels, mean, std, names = (document[key] for key in keys)
        for key, value in (("input_size", size), ("in_channels", channels)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CheckpointError(f"preprocessing: {key} must be a positive integer, got {value!r}")
        for key, value in (("mean", mean), ("std", std)):
            if not isinstance(value, list) or len(value) != channels or not all(_is_number(v) for v in value):
                raise CheckpointError(f"preprocessing: {key} must be {channels} finite numbers, one per channel")
        if min(std) <= 0:
            raise CheckpointError(f"preprocessing: std must be positive, got {std}")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise CheckpointError("preprocessing: class_names must be a list of strings")
        return cls(size, channels, tuple(map(float, mean)), tuple(map(float, std)), tuple(names))


class Normalised(nn.Module):
    """A network behind the normalisation of its images.

    Args:
        network: Takes normalised images.
        mean, std: Per channel, of images scaled to 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W], floats in 0..1, to what the network gives."""
        outputs: Tensor = self.network((images - self.mean) / self.std)
        return outputs


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold; an integer of hundreds of digits is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
