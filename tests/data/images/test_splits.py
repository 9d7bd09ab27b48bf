from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data import SPLITS, ImageData
from nas.data.images.source import Images, Labels, Part, Source
from nas.data.images.splits import divide
from nas.errors import DataError, UsageError

LABELS = st.lists(st.integers(0, 6), min_size=20, max_size=150)


def numbered(count: int, first: int = 0) -> Part:
    """`count` images whose pixels say which one it is, in three classes."""
    ids = np.arange(first, first + count)
    images = np.stack([ids // 256, ids % 256], axis=1).astype(np.uint8)[:, None, :, None].repeat(2, axis=3)
    return Part(images, (ids % 3).astype(np.int64))


def ids(data: ImageData, name: str) -> list[int]:
    images = data.split(name).images[:, 0, :, 0].long()
    return (images[:, 0] * 256 + images[:, 1]).tolist()


def made(count: int, test: int | None, train_images: int | None = None) -> ImageData:
    held = None if test is None else numbered(test, first=count)
    return divide("made", Source(numbered(count), held, ("a", "b", "c"), flip=True), train_images=train_images)


@given(count=st.integers(15, 300), test=st.integers(2, 40))
def test_splits_of_the_training_part_are_disjoint_and_complete(count: int, test: int) -> None:
    data = made(count, test)
    parts = [ids(data, name) for name in ("train", "calibration", "validation")]
    assert sorted(chain(*parts)) == list(range(count))
    assert ids(data, "test") == list(range(count, count + test))
    assert abs(len(parts[1]) - count / 10) <= 0.5
    assert abs(len(parts[2]) - count * 0.15) <= 0.5
    for name in SPLITS:
        assert data.split(name).labels.tolist() == [i % 3 for i in ids(data, name)]


@given(count=st.integers(20, 300))
def test_without_a_test_part_a_fifth_is_held_out(count: int) -> None:
    data = made(count, None)
    parts = [ids(data, name) for name in SPLITS]
    assert sorted(chain(*parts)) == list(range(count))
    assert abs(len(parts[3]) - count / 5) <= 0.5


@given(count=st.integers(15, 200), data=st.data())
def test_train_images_shortens_the_train_split_alone(count: int, data: st.DataObject) -> None:
    whole = made(count, 5)
    kept = data.draw(st.integers(1, len(whole.train)))
    short = made(count, 5, kept)
    assert ids(short, "train") == ids(whole, "train")[:kept]
    for name in ("calibration", "validation", "test"):
        assert torch.equal(short.split(name).images, whole.split(name).images)
        assert torch.equal(short.split(name).labels, whole.split(name).labels)


def test_large_sets_hold_out_a_fixed_number() -> None:
    data = made(60_000, 10)
    assert [len(data.split(name)) for name in SPLITS] == [53_000, 2_000, 5_000, 10]


@pytest.mark.parametrize("train_images", [0, -1, 76])
def test_train_images_out_of_range_names_the_most(train_images: int) -> None:
    assert len(made(100, 5).train) == 75
    with pytest.raises(UsageError, match=f"1 to 75.*got {train_images}"):
        made(100, 5, train_images)


@pytest.mark.parametrize(("count", "test"), [(1, 5), (14, 5), (15, 1), (10, None)])
def test_too_few_images(count: int, test: int | None) -> None:
    with pytest.raises(DataError, match="too few"):
        made(count, test)


def test_splits_share_no_memory_with_the_source() -> None:
    training, test = numbered(50), numbered(10)
    data = divide("made", Source(training, test, ("a", "b", "c"), flip=True), train_images=None)
    training.images[:] = 0
    assert any(ids(data, "train"))


def split_labels(labels: Labels) -> dict[str, list[int]]:
    part = Part(numbered(len(labels)).images, labels)
    data = divide("made", Source(part, None, tuple("abcdefg"), flip=True), train_images=None)
    return {name: data.split(name).labels.tolist() for name in SPLITS}


def test_splits_are_the_same_every_time() -> None:
    assert made(200, None).digest == made(200, None).digest
    assert ids(made(60, 5), "train") != sorted(ids(made(60, 5), "train"))


@given(labels=LABELS, data=st.data())
def test_every_stretch_of_a_split_has_the_proportions_of_the_whole(labels: list[int], data: st.DataObject) -> None:
    whole = split_labels(np.array(labels))
    name = data.draw(st.sampled_from(SPLITS))
    start = data.draw(st.integers(0, len(whole[name])))
    stretch = whole[name][start : data.draw(st.integers(start, len(whole[name])))]
    for label in set(labels):
        share = labels.count(label) / len(labels)
        assert abs(stretch.count(label) - share * len(stretch)) <= 2 * (1 + len(set(labels)) * share)


@given(classes=st.integers(1, 6), each=st.integers(20, 50))
def test_equally_large_classes_share_each_split_equally(classes: int, each: int) -> None:
    for got in split_labels(np.repeat(np.arange(classes), each)).values():
        counts = np.bincount(got, minlength=classes)
        # A split may begin and end inside a turn.
        assert counts.max() - counts.min() <= 2


def statistics(
    images: Images, train_images: int | None = None
) -> tuple[ImageData, tuple[float, ...], tuple[float, ...]]:
    part = Part(images, np.arange(len(images)) % 2)
    data = divide("made", Source(part, part, ("a", "b"), flip=False), train_images=train_images)
    return data, data.preprocessing.mean, data.preprocessing.std


@given(
    count=st.integers(15, 60),
    channels=st.integers(1, 4),
    size=st.integers(1, 6),
    kept=st.integers(1, 11),
    seed=st.integers(0, 2**32 - 1),
)
def test_statistics_are_those_of_the_kept_train_images(
    count: int, channels: int, size: int, kept: int, seed: int
) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    data, mean, std = statistics(images, kept)
    units = data.train.images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, units.mean(axis=(0, 2, 3)), atol=5.1e-5)
    np.testing.assert_allclose(std, np.maximum(units.std(axis=(0, 2, 3)), 0.01), atol=5.1e-5)


def test_statistics_count_large_sets() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5000, 1, 2, 2), dtype=np.uint8)
    data, mean, std = statistics(images)
    assert len(data.train) > 3 * 1024
    units = data.train.images.numpy() / 255
    assert mean == (round(float(units.mean()), 4),)
    assert std == (round(float(units.std()), 4),)


def test_a_constant_channel_keeps_a_positive_std() -> None:
    _, mean, std = statistics(np.full((20, 2, 3, 3), 51, dtype=np.uint8))
    assert (mean, std) == ((0.2, 0.2), (0.01, 0.01))


@pytest.mark.parametrize(("size", "padding"), [(4, 1), (8, 1), (28, 3), (32, 4), (224, 28)])
def test_padding_is_an_eighth_of_the_size(size: int, padding: int) -> None:
    data, _, _ = statistics(np.zeros((20, 1, size, size), dtype=np.uint8))
    assert data.padding == padding
