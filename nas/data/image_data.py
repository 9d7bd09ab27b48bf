"""Images in four disjoint splits, and what a checkpoint needs to use them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from nas.errors import CheckpointError, UsageError

SplitName = Literal["train", "calibration", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "calibration", "validation", "test")


@dataclass(frozen=True, slots=True)
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

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images [B, C, H, W] to float32 with mean 0 and deviation 1 per channel."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return (images.float() / 255 - mean) / std

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
        try:
            read = cls(
                int(document["input_size"]),
                int(document["in_channels"]),
                tuple(float(v) for v in document["mean"]),
                tuple(float(v) for v in document["std"]),
                tuple(str(v) for v in document["class_names"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"not a description of preprocessing: {error!r}") from None
        if not read.in_channels == len(read.mean) == len(read.std) or min(read.std, default=0.0) <= 0:
            raise CheckpointError("preprocessing needs one mean and one positive std per channel")
        return read


@dataclass(frozen=True)
class ImageData:
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
    def input_size(self) -> int:
        """Height and width."""
        return self.preprocessing.input_size

    @property
    def in_channels(self) -> int:
        """Channels."""
        return self.preprocessing.in_channels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.preprocessing.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.preprocessing.class_names

    def split(self, name: str) -> Split:
        """One of the four splits.

        Raises:
            UsageError: No such split.
        """
        named: Mapping[str, Split] = {
            "train": self.train,
            "calibration": self.calibration,
            "validation": self.validation,
            "test": self.test,
        }
        if name not in named:
            raise UsageError(f"no split {name!r}; choose one of {', '.join(SPLITS)}")
        return named[name]

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of all images, labels and class names."""
        found = hashlib.sha256(repr((self.preprocessing.class_names, self.flip, self.padding)).encode())
        for name in SPLITS:
            part = self.split(name)
            found.update(part.images.contiguous().numpy().tobytes())
            found.update(part.labels.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]
