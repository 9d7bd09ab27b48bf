from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UsageError
from nas.search_spaces.mobilenet.presets import PRESETS, SMALLEST_MAP, adapt, build
from nas.task import ImageClassification


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_itself_at_its_own_size(name: str) -> None:
    assert adapt(PRESETS[name], PRESETS[name].task.size) == PRESETS[name].config
    space = build(ImageClassification(PRESETS[name].task.size, 3, 10), name)
    assert space.preset == name
    assert PRESETS[name].summary


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(PRESETS)), st.integers(SMALLEST_MAP, 300))
def test_presets_adapt_to_every_size(name: str, size: int) -> None:
    space = build(ImageClassification(size, 1, 2), name)
    assert space.config.resolutions[-1] == size
    assert list(space.config.resolutions) == sorted(set(space.config.resolutions))
    # At the full resolution the strides that are left keep the promised pixels.
    assert space.plan(space.largest()).blocks[-1].out_size >= SMALLEST_MAP
    assert space.plan(space.smallest()).blocks[-1].out_size >= 1
    assert space.size >= 1


@pytest.mark.parametrize(("size", "preset"), [(8, "tiny"), (28, "small"), (32, "small"), (64, "small"), (224, "ofa")])
def test_without_a_preset_the_size_decides(size: int, preset: str) -> None:
    assert build(ImageClassification(size, 3, 10), None).preset == preset


def test_images_can_be_too_small() -> None:
    with pytest.raises(UsageError, match="at least 4x4, got 3x3"):
        build(ImageClassification(3, 3, 10), None)
    with pytest.raises(UsageError, match="has none of its own"):
        build(None, None)


def test_tiny_fits_digits_and_ofa_is_big() -> None:
    ofa = build(ImageClassification(224, 3, 1000), None)
    assert ofa.plan(ofa.largest()).macs > 500e6
    small = build(ImageClassification(32, 3, 10), "small")
    assert small.plan(small.largest()).macs <= 10e6
