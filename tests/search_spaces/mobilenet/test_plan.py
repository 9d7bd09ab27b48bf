from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search_spaces.mobilenet.plan import BlockPlan, NetworkPlan, make_divisible

BLOCK = BlockPlan(
    stage=1, index=0, in_channels=4, expansion=3, out_channels=6, kernel=5, stride=2, activation="relu",
    squeezed=8, shortcut="none", in_size=7,
)  # fmt: skip


@pytest.mark.parametrize(("channels", "expected"), [(1, 8), (8, 8), (11, 16), (12, 16), (18, 24), (20, 24), (16.4, 16)])
def test_make_divisible(channels: float, expected: int) -> None:
    assert make_divisible(channels) == expected


@given(st.floats(0, 10_000))
def test_make_divisible_keeps_nine_tenths(channels: float) -> None:
    rounded = make_divisible(channels)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * channels
    assert rounded <= channels + 8


def test_block_costs_by_hand() -> None:
    # expand 4 -> 12 with norm, depthwise 5x5 with norm, squeeze 12 -> 8 -> 12 with biases, project 12 -> 6 with norm
    assert BLOCK.expanded == 12
    assert BLOCK.out_size == 4
    assert BLOCK.params == (4 * 12 + 24) + (25 * 12 + 24) + (12 * 8 + 8 + 8 * 12 + 12) + (12 * 6 + 12)
    assert BLOCK.macs == 49 * 4 * 12 + 16 * 25 * 12 + 2 * 12 * 8 + 16 * 12 * 6


def test_a_projection_adds_one_product_without_norm() -> None:
    block = replace(BLOCK, shortcut="projection")
    assert (block.params - BLOCK.params, block.macs - BLOCK.macs) == (4 * 6, 16 * 4 * 6)
    assert replace(BLOCK, shortcut="identity").params == BLOCK.params


def test_expansion_1_has_no_expand_convolution() -> None:
    block = replace(BLOCK, expansion=1, squeezed=0)
    assert block.params == (25 * 4 + 8) + (4 * 6 + 12)
    assert block.macs == 16 * 25 * 4 + 16 * 4 * 6


@pytest.mark.parametrize(("mix", "features"), [(0, 10), (20, 20)])
def test_network_costs_by_hand(mix: int, features: int) -> None:
    plan = NetworkPlan(8, 3, 7, 4, 1, "hswish", (BLOCK,), 10, mix, 5)
    assert (plan.stem_size, plan.last_channels, plan.features) == (7, 6, features)
    stem = (3 * 9 * 4 + 8, 3 * 9 * 4 * 49)
    head = (6 * 10 + 20 + 10 * mix + features * 5 + 5, 6 * 10 * 16 + 10 * mix + features * 5)
    assert plan.params == stem[0] + BLOCK.params + head[0]
    assert plan.macs == stem[1] + BLOCK.macs + head[1]
