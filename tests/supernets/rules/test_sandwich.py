from __future__ import annotations

import torch

from nas.supernets.rules import RULES, sandwich
from nas.training import SubNetwork
from tests.spaces import SPACES

SPACE = SPACES["crop"]


def test_others_learn_from_targets_and_from_the_largest() -> None:
    generator = torch.Generator().manual_seed(0)
    largest = torch.randn(6, 5, generator=generator).requires_grad_()
    other = torch.randn(6, 5, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    target, task = sandwich.TargetsAndLargest(hard=0.25), SPACE.task
    loss, soft = target(task, largest, labels, SubNetwork(SPACE.largest(), "largest"), None)
    torch.testing.assert_close(loss, task.loss(largest, labels, smoothing=0.1))
    assert soft is not None
    assert not soft.requires_grad
    loss, passed_on = target(task, other, labels, SubNetwork(SPACE.smallest(), "smallest"), soft)
    torch.testing.assert_close(loss, 0.25 * task.loss(other, labels, smoothing=0.1) + 0.75 * task.distil(other, soft))
    assert passed_on is soft


def test_the_rate_ends_at_zero() -> None:
    (phase,) = RULES["sandwich"].phases(SPACE)
    assert phase.schedule(1.0) < 1e-6
