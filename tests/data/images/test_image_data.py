from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from nas.data import SPLITS, ImageData, ImagePreprocessing, Split
from nas.errors import CheckpointError, DataError, UnknownName
from tests.images import stripes

PREPROCESSING = ImagePreprocessing(8, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), ("ant", "bee"))


def test_normalise_is_the_formula_on_every_pixel() -> None:
    images = torch.arange(2 * 3 * 8 * 8).remainder(256).to(torch.uint8).view(2, 3, 8, 8)
    got = PREPROCESSING.normalise(images)
    assert got.dtype == torch.float32
    for channel in range(3):
        pixels = images[:, channel].double() / 255
        expected = (pixels - PREPROCESSING.mean[channel]) / PREPROCESSING.std[channel]
        torch.testing.assert_close(got[:, channel].double(), expected, rtol=1e-6, atol=1e-6)


def test_normalise_keeps_its_input_and_the_memory_format() -> None:
    images = torch.full((2, 3, 8, 8), 7, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    assert PREPROCESSING.normalise(images).is_contiguous(memory_format=torch.channels_last)
    assert images.eq(7).all()


@pytest.mark.parametrize("images", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)])
def test_normalise_refuses_other_tensors(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"uint8 \[B, 3, H, W\]"):
        PREPROCESSING.normalise(images)


def test_preprocessing_survives_json() -> None:
    assert ImagePreprocessing.from_json(json.loads(json.dumps(PREPROCESSING.to_json()))) == PREPROCESSING


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"mean": [0.4, 0.5]},
        {"mean": [0.4, 0.5, float("nan")]},
        {"mean": [0.4, 0.5, "0.6"]},
        {"mean": 0.4},
        {"std": [0.2, -0.1, 0.3]},
        {"std": [10**400] * 3},
        {"input_size": 8.0},
        {"input_size": True},
        {"input_size": 0},
        {"in_channels": -3},
        {"class_names": []},
        {"class_names": "ant"},
        {"class_names": ["ant", 2]},
        {"mean": [0.4, 0.5, True]},
    ],
)
def test_a_foreign_document_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="preprocessing"):
        ImagePreprocessing.from_json({**PREPROCESSING.to_json(), **change})


@pytest.mark.parametrize("document", [None, [], "text", {}, {"mean": [0.5]}])
def test_no_document_is_refused(document: object) -> None:
    with pytest.raises(CheckpointError, match="with input_size, in_channels, mean, std, class_names"):
        ImagePreprocessing.from_json(document)


def test_splits_have_names() -> None:
    data = stripes()
    assert [data.split(name) for name in SPLITS] == [data.train, data.calibration, data.validation, data.test]
    with pytest.raises(UnknownName, match="'validation'"):
        data.split("valid")


def test_properties_are_those_of_the_preprocessing() -> None:
    data = stripes(size=9, classes=4)
    assert (data.task.size, data.task.channels, data.task.classes) == (9, 3, 4)
    assert data.class_names == data.preprocessing.class_names


def changed(data: ImageData, name: str, *, labels: bool) -> ImageData:
    split = data.split(name)
    images, targets = split.images.clone(), split.labels.clone()
    (targets if labels else images).view(-1)[-1] ^= 1
    return dataclasses.replace(data, **{name: Split(images, targets)})


def test_digest_sees_every_split_and_nothing_else() -> None:
    data = stripes()
    assert stripes().digest == data.digest
    assert len(data.digest) == 16
    assert int(data.digest, 16) >= 0
    assert dataclasses.replace(data, spec="elsewhere").digest == data.digest
    others = {changed(data, name, labels=labels).digest for name in SPLITS for labels in (False, True)}
    assert len(others | {data.digest}) == 9


def test_digest_does_not_depend_on_strides() -> None:
    data = stripes()
    strided = data.test.images.contiguous(memory_format=torch.channels_last)
    assert dataclasses.replace(data, test=Split(strided, data.test.labels)).digest == data.digest


def test_other_splits_can_be_left_out() -> None:
    data = stripes()
    part = data.only(("calibration", "test"))
    assert [part.size(name) for name in SPLITS] == [0, data.size("calibration"), 0, data.size("test")]
    assert part.test.images is data.test.images
    assert part.train.images.untyped_storage().nbytes() == 0
