"""Images in four disjoint splits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nas.data.dataset import SPLITS, Dataset, SplitName, check_split
from nas.data.images.augment import augment
from nas.data.images.preprocessing import ImagePreprocessing
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
    preprocessing: ImagePreprocessing
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

    def only(self, splits: Collection[SplitName]) -> ImageData:
        """See `Dataset`."""

        def kept(name: SplitName) -> Split:
            part = self.split(name)  # a slice of it alone would travel with all of it
            return part if name in splits else Split(part.images[:0].clone(), part.labels[:0].clone())

        return replace(
            self, train=kept("train"), calibration=kept("calibration"), validation=kept("validation"), test=kept("test")
        )

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of all images, labels and class names."""
        found = hashlib.sha256(repr((self.preprocessing.class_names, self.flip, self.padding)).encode())
        for name in SPLITS:
            part = self.split(name)
            found.update(part.images.contiguous().numpy().tobytes())
            found.update(part.labels.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]
