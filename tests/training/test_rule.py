from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas.errors import UnknownName, UsageError
from nas.supernets import RULES
from nas.training import SmoothedTargets, SubNetwork
from nas.training.rule import check_passes, one_by_one, summed
from tests.spaces import SPACES

SPACE = SPACES["learned"]
MEMBERS = [SubNetwork(SPACE.largest(), "largest"), SubNetwork(SPACE.smallest(), "tiny")]


@pytest.mark.parametrize(("setting", "value"), [("dropout", 1.0), ("drop_connect", -0.1), ("learning_rate", 0.0)])
def test_a_rule_out_of_range_is_refused(setting: str, value: float) -> None:
    with pytest.raises(UsageError, match=setting.replace("_", ".")):
        replace(RULES["bignas"], **{setting: value})


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(UnknownName, match="adamw"):
        replace(RULES["bignas"], optimiser="adam")


def test_every_sub_network_has_a_pass_of_its_own_and_gradients_are_summed_unless_said() -> None:
    assert one_by_one(MEMBERS) == [[MEMBERS[0]], [MEMBERS[1]]]
    assert summed(MEMBERS) == [1.0, 1.0]


def test_passes_hold_every_sub_network_once() -> None:
    check_passes([MEMBERS], MEMBERS)
    for wrong in ([[MEMBERS[0]]], [MEMBERS, MEMBERS], [MEMBERS[::-1]]):
        with pytest.raises(UsageError, match="once, in the sampler's order"):
            check_passes(wrong, MEMBERS)


def test_smoothed_targets_are_the_tasks_loss() -> None:
    outputs, targets = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 5
    loss, soft = SmoothedTargets(0.2)(SPACE.task, outputs, targets, MEMBERS[0], None)
    assert torch.equal(loss, SPACE.task.loss(outputs, targets, smoothing=0.2))
    assert soft is None
