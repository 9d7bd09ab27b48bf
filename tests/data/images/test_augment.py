from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.data import augment


def random_images(batch: int, channels: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch + size)
    return torch.randint(1, 256, (batch, channels, size, size), generator=generator).to(torch.uint8)


def one_by_one(images: Tensor, *, flip: bool, padding: int, generator: torch.Generator) -> Tensor:
    """The same, image after image and pixel after pixel, from the same draws."""
    batch, _, height, width = images.shape
    offsets = torch.zeros(batch, 2, dtype=torch.int64)
    if padding > 0:
        offsets = torch.randint(0, 2 * padding + 1, (batch, 2), generator=generator)
    mirrored = torch.zeros(batch, dtype=torch.bool)
    if flip:
        mirrored = torch.rand(batch, generator=generator) < 0.5
    out = torch.zeros_like(images)
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                y = row + int(offsets[b, 0]) - padding
                x = (width - 1 - column if mirrored[b] else column) + int(offsets[b, 1]) - padding
                if 0 <= y < height and 0 <= x < width:
                    out[b, :, row, column] = images[b, :, y, x]
    return out


@given(
    batch=st.integers(1, 5),
    channels=st.integers(1, 3),
    size=st.integers(1, 6),
    flip=st.booleans(),
    padding=st.integers(0, 7),
    seed=st.integers(0, 2**63 - 1),
)
def test_equals_the_slow_reference(batch: int, channels: int, size: int, flip: bool, padding: int, seed: int) -> None:
    images = random_images(batch, channels, size)
    before = images.clone()
    got = augment(images, flip=flip, padding=padding, generator=torch.Generator().manual_seed(seed))
    expected = one_by_one(images, flip=flip, padding=padding, generator=torch.Generator().manual_seed(seed))
    assert got.dtype == torch.uint8
    assert torch.equal(got, expected)
    assert torch.equal(images, before)


def test_height_and_width_may_differ() -> None:
    images = random_images(6, 2, 9)[:, :, :5]
    got = augment(images, flip=True, padding=2, generator=torch.Generator().manual_seed(1))
    expected = one_by_one(images, flip=True, padding=2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(got, expected)


def test_nothing_to_do_changes_and_draws_nothing() -> None:
    images, generator = random_images(4, 3, 8), torch.Generator().manual_seed(3)
    before = generator.get_state()
    assert torch.equal(augment(images, flip=False, padding=0, generator=generator), images)
    assert torch.equal(generator.get_state(), before)


def test_images_are_drawn_for_one_by_one() -> None:
    images = random_images(1, 1, 8).expand(400, 1, 8, 8)
    got = augment(images, flip=True, padding=1, generator=torch.Generator().manual_seed(0))
    assert len(got.flatten(1).unique(dim=0)) == 2 * 3 * 3


@pytest.mark.parametrize(("flip", "outcomes"), [(True, 2), (False, 1)])
def test_about_half_are_mirrored(flip: bool, outcomes: int) -> None:
    images = random_images(1, 1, 8).expand(1000, 1, 8, 8)
    got = augment(images, flip=flip, padding=0, generator=torch.Generator().manual_seed(0))
    kept = int((got == images).flatten(1).all(1).sum())
    assert kept == 1000 if outcomes == 1 else 400 < kept < 600


def test_any_memory_format_gives_the_same() -> None:
    images = random_images(5, 3, 8)
    strided = images.contiguous(memory_format=torch.channels_last)
    first, second = (
        augment(each, flip=True, padding=2, generator=torch.Generator().manual_seed(5)) for each in (images, strided)
    )
    assert torch.equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_sees_the_same_draws() -> None:
    images = random_images(5, 3, 8)
    first, second = (
        augment(each, flip=True, padding=2, generator=torch.Generator().manual_seed(5))
        for each in (images, images.cuda())
    )
    assert second.is_cuda
    assert torch.equal(first, second.cpu())


@given(flip=st.booleans(), padding=st.integers(0, 3), start=st.integers(0, 9), stop=st.integers(0, 9))
def test_a_part_is_that_of_the_whole(flip: bool, padding: int, start: int, stop: int) -> None:
    images = random_images(9, 2, 6)
    whole, part = (
        augment(images, flip=flip, padding=padding, generator=torch.Generator().manual_seed(7), part=part)
        for part in (slice(None), slice(start, stop))
    )
    assert torch.equal(whole[start:stop], part)
