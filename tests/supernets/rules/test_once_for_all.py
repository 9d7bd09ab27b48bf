from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nas.search_spaces import get
from nas.supernets import MobileNetSupernet
from nas.supernets.rules import once_for_all
from nas.task import ImageClassification
from nas.training import SubNetwork
from tests.spaces import BASE, SPACES, space


def test_phases_open_one_dimension_after_the_other() -> None:
    full = get("mobilenet", task=ImageClassification(32, 3, 10))
    phases = once_for_all.phases(full)
    assert [phase.name for phase in phases] == [
        "largest", "elastic kernel", "elastic depth 1", "elastic depth 2", "elastic width 1", "elastic width 2",
    ]  # fmt: skip
    counts = [len(phase.sampler(full, np.random.default_rng(0))) for phase in phases]
    assert counts == [1, 1, 2, 2, 4, 4]
    assert [phase.prepare is not None for phase in phases] == [False] * 4 + [True, True]
    assert [phase.teacher is not None for phase in phases] == [False, True] + [False] * 4
    drawn = [[s.arch for i in range(200) for s in p.sampler(full, np.random.default_rng(i))] for p in phases]
    kernels = [{arch["stage2.block0.kernel"] for arch in archs} for archs in drawn]
    assert kernels == [{7}] + [{3, 5, 7}] * 5
    depths = [{arch["stage2.depth"] for arch in archs} for archs in drawn]
    assert depths == [{3}, {3}, {2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}]
    expansions = [{arch["stage2.block0.expansion"] for arch in archs} for archs in drawn]
    assert expansions == [{6}] * 4 + [{4, 6}, {3, 4, 6}]


def test_phases_that_open_nothing_are_left_out() -> None:
    stages = (replace(BASE.stages[1], depths=(2,), kernels=(3,), widths=(12,), expansions=(2, 3)),)
    narrow = space(replace(BASE, stages=stages))
    phases = once_for_all.phases(narrow)
    assert [phase.name for phase in phases] == ["largest", "elastic width 2"]
    assert phases[1].teacher is not None


def test_target_adds_teacher_and_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 4, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1])
    soft = torch.softmax(torch.randn(6, 4, generator=generator), 1)
    task, member = SPACES["learned"].task, SubNetwork(SPACES["learned"].smallest(), "random")
    loss, passed_on = once_for_all.TeacherAndTargets(weight=2.0)(task, logits, labels, member, soft)
    torch.testing.assert_close(loss, task.loss(logits, labels, smoothing=0.1) + 2 * task.distil(logits, soft))
    assert passed_on is soft


def test_teacher_is_frozen_and_sorting_keeps_what_it_computes() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    x = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher = once_for_all.frozen_largest(supernet, x)
    before = teacher(x)
    once_for_all.sort_for_width(supernet, elastic=once_for_all.ElasticChoices())
    torch.testing.assert_close(once_for_all.frozen_largest(supernet, x)(x), before, rtol=1e-4, atol=1e-4)
    for parameter in supernet.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(teacher(x), before, rtol=0, atol=0)
