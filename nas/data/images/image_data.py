"""Images in four disjoint splits, and what a checkpoint needs to use them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nas.data.dataset import SPLITS, Dataset, SplitName, check_split
from nas.data.images.augment import augment
from nas.errors import CheckpointError, DataError
from nas.task import ImageClassification


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images with labels.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What turns stored images into a network's input, and its output into names.

    Args:
        input_size: Height and width.
        in_channels: Channels.
        mean, std: Per channel, of images scaled to 0..1.
        class_names: Names of the classes, by label.
    """

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

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "input_size": self.input_size,
            "in_channels": self.in_channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "class_names": list(self.class_names),
        }

    @classmethod
    def from_json(cls, document: Any) -> Preprocessing:
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


@dataclass(frozen=True, eq=False)
class ImageData(Dataset):
    """A data set, whole in memory.

    Args:
        spec: What `load` was asked for.
        preprocessing: Normalisation and names.
        train: Teaches.
        calibration: Measures batch-norm statistics.
        validation: What a search selects on.
        test: What no search sees.
        flip: Whether a mirrored image is still of its class.
        padding: Pixels by which a random crop moves an image at most.
    """

    spec: str
    preprocessing: Preprocessing
    train: Split
    calibration: Split
    validation: Split
    test: Split
    flip: bool
    padding: int

    @property
    def task(self) -> ImageClassification:
        """What it is for."""
        return self.preprocessing.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.preprocessing.class_names

    def split(self, name: str) -> Split:
        """One of the four splits.

        Raises:
            UnknownName: No such split.
        """
        named: Mapping[str, Split] = {
            "train": self.train,
            "calibration": self.calibration,
            "validation": self.validation,
            "test": self.test,
        }
        check_split(name)
        return named[name]

    def size(self, split: SplitName) -> int:
        """See `Dataset`."""
        return len(self.split(split))

    def batch(
        self,
        split: SplitName,
        rows: Sequence[int] | Tensor | slice,
        *,
        generator: torch.Generator | None = None,
        part: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> tuple[Tensor, Tensor]:
        """Normalised images float32 [B, C, H, W], channels last, and labels int64 [B]; see `Dataset`."""
        held = self.split(split)
        chosen = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        images, labels = held.images[chosen], held.labels[chosen]
        if generator is None:
            images = images[part]
        else:
            images = augment(images, flip=self.flip, padding=self.padding, generator=generator, part=part)
        x = self.preprocessing.normalise(images.to(device, non_blocking=True))
        return x.contiguous(memory_format=torch.channels_last), labels[part].to(device)

    def describe(self) -> dict[str, Any]:
        """Normalisation and class names."""
        return self.preprocessing.to_json()

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of all images, labels and class names."""
        found = hashlib.sha256(repr((self.preprocessing.class_names, self.flip, self.padding)).encode())
        for name in SPLITS:
            part = self.split(name)
            found.update(part.images.contiguous().numpy().tobytes())
            found.update(part.labels.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold; an integer of hundreds of digits is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
