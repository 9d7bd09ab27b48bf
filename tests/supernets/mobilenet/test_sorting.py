from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.supernets import MobileNetSupernet
from nas.supernets.mobilenet.sorting import order_by_importance, sort_channels
from tests.contracts.supernet import randomise
from tests.spaces import BASE, SPACES, space


def test_bands_are_kept() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 9.0, 7.0, 8.0])
    assert order_by_importance(scores, []).tolist() == [3, 5, 4, 1, 2, 0]
    assert order_by_importance(scores, [3]).tolist() == [1, 2, 0, 3, 5, 4]
    assert order_by_importance(scores, [6, 99]).tolist() == [3, 5, 4, 1, 2, 0]
    assert order_by_importance(torch.ones(4), [2]).tolist() == [0, 1, 2, 3]


WIDE_FIXED = space(
    replace(
        BASE,
        stages=(replace(BASE.stages[0], expansions=(1,)), replace(BASE.stages[1], expansions=(1,))),
        transition_shortcuts=True,
    )
)


@pytest.mark.parametrize("kind", [*sorted(SPACES), "no expansion"])
def test_sorting_leaves_the_largest_unchanged(kind: str) -> None:
    supernet = MobileNetSupernet(SPACES.get(kind, WIDE_FIXED), seed=0)
    randomise(supernet)
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    largest = supernet.space.largest()
    supernet.train()
    with torch.no_grad():
        before = supernet(x, largest)
        weights = {name: value.clone() for name, value in supernet.state_dict().items()}
        sort_channels(supernet, expansions=(), widths=1)
        assert any(not torch.equal(value, weights[name]) for name, value in supernet.state_dict().items())
        difference = float((supernet(x, largest) - before).abs().max())
    assert difference < 1e-5 * max(1.0, float(before.abs().max()))


def test_sorting_in_bands_leaves_networks_in_use_unchanged() -> None:
    """After the first width phase, what the two largest choices have learned must stay."""
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    randomise(supernet)
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    members: MobileNetSpace = supernet.space
    in_use = [
        arch
        for arch in members.architectures(members.sample_choices(np.random.default_rng(0), 300))
        if arch["stage0.width"] == 12 and arch["stage1.width"] == 16
    ][:6]
    assert in_use
    supernet.train()
    with torch.no_grad():
        before = [supernet(x, arch) for arch in in_use]
        sort_channels(supernet, expansions=(2, 3, 4), widths=1)
        for arch, value in zip(in_use, before, strict=True):
            torch.testing.assert_close(supernet(x, arch), value, rtol=1e-5, atol=1e-4)


def test_important_channels_come_first() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    randomise(supernet)
    sort_channels(supernet, expansions=(), widths=1)
    importance = supernet.block(0, 0).project.weight.abs().sum((0, 2, 3))
    assert torch.equal(importance, importance.sort(descending=True).values)
