from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nas.data import SPLITS, load
from nas.errors import UsageError


def test_digits_are_complete_and_their_levels_can_be_told_back() -> None:
    data = load("digits")
    assert [len(data.split(name)) for name in SPLITS] == [1078, 144, 216, 359]
    assert (data.spec, data.task.size, data.task.channels, data.task.classes) == ("digits", 8, 1, 10)
    assert (data.flip, data.padding, data.class_names) == (False, 1, tuple("0123456789"))
    images = torch.cat([data.split(name).images for name in SPLITS]).numpy()
    labels = torch.cat([data.split(name).labels for name in SPLITS]).numpy()
    levels = np.rint(images.astype(np.float64) * 16 / 255).astype(int).reshape(1797, 64)
    assert (images.min(), images.max()) == (0, 255)
    bunch = load_digits()
    got = sorted((label, *image) for label, image in zip(labels.tolist(), levels.tolist(), strict=True))
    expected = sorted(
        (label, *image) for label, image in zip(bunch.target.tolist(), bunch.data.astype(int).tolist(), strict=True)
    )
    assert got == expected


def test_no_image_of_digits_is_in_two_splits() -> None:
    data = load("digits")
    images = torch.cat([data.split(name).images for name in SPLITS]).flatten(1)
    assert len(images.unique(dim=0)) == 1797


def test_digits_are_stratified() -> None:
    data = load("digits")
    for name in SPLITS:
        counts = torch.bincount(data.split(name).labels, minlength=10)
        assert counts.max() - counts.min() <= 6


def test_splits_of_digits_never_change() -> None:
    # Every figure on digits depends on it: a new value makes old and new figures incomparable.
    assert load("digits").digest == "f96867df4123f5f0"


def test_digits_take_no_path() -> None:
    with pytest.raises(UsageError, match="takes no path"):
        load("digits:somewhere")
