"""From a source's training and test parts to four fixed splits."""

from __future__ import annotations

import numpy as np
import torch

from nas.data.images.image_data import ImageData, Split
from nas.data.images.preprocessing import ImagePreprocessing
from nas.data.images.source import Images, Labels, Part, Source
from nas.data.stratified import interleaved
from nas.errors import DataError, UsageError

VALIDATION_SHARE, MOST_VALIDATION = 0.15, 5_000
CALIBRATION_SHARE, MOST_CALIBRATION = 0.10, 2_000
TEST_SHARE = 0.2


def divide(spec: str, source: Source, *, train_images: int | None) -> ImageData:
    """Four fixed, disjoint, stratified splits; `train_images` keeps only the first of the train split.

    Raises:
        UsageError: `train_images` is not in 1 .. the size of the train split.
        DataError: Too few images to divide.
    """
    given, test = source.training, source.test
    order = interleaved(given.labels)
    if test is None:
        held = order[: round(TEST_SHARE * len(order))]
        test, order = Part(given.images[held], given.labels[held]), order[len(held) :]
    validation = min(MOST_VALIDATION, round(VALIDATION_SHARE * len(order)))
    calibration = min(MOST_CALIBRATION, round(CALIBRATION_SHARE * len(order)))
    for_validation, for_calibration, train = np.split(order, [validation, validation + calibration])
    if min(len(test.labels), validation, calibration, len(train)) < 2:
        raise DataError(f"{spec!r}: {len(given.labels)} training images are too few to divide into four splits")
    if train_images is not None:
        if not 1 <= train_images <= len(train):
            raise UsageError(f"train_images must be 1 to {len(train)} for {spec!r}, got {train_images}")
        train = train[:train_images]
    mean, std = _moments(given.images[train])
    channels, size = given.images.shape[1:3]
    preprocessing = ImagePreprocessing(size, channels, mean, std, tuple(source.class_names))
    return ImageData(
        spec,
        preprocessing,
        train=_split(given.images[train], given.labels[train]),
        calibration=_split(given.images[for_calibration], given.labels[for_calibration]),
        validation=_split(given.images[for_validation], given.labels[for_validation]),
        test=_split(test.images, test.labels),
        flip=source.flip,
        padding=max(1, size // 8),
    )


def _moments(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel in 0..1, to four digits, from each channel's histogram of byte values."""
    levels = np.arange(256) / 255
    # In chunks: counting widens every byte to eight.
    chunks = np.array_split(images, -(-len(images) // 1024))
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = sum((np.bincount(c[:, channel].ravel(), minlength=256) for c in chunks), np.zeros(256, np.int64))
        share = counts / images[:, channel].size
        mean = float(share @ levels)
        means.append(round(mean, 4))
        deviations.append(round(max(float(share @ (levels - mean) ** 2) ** 0.5, 1e-2), 4))
    return tuple(means), tuple(deviations)


def _split(images: Images, labels: Labels) -> Split:
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)))
