from __future__ import annotations

import numpy as np
import pytest

from nas.search_spaces import MobileNetSpace, get
from nas.task import ImageClassification
from nas.testing.spaces import members
from tests.search_spaces.mobilenet.test_space import fixed_depths
from tests.spaces import SPACES


def check(space: MobileNetSpace, rows: np.ndarray) -> None:
    costs = space.costs_of(rows)
    plans = [space.plan(arch) for arch in space.architectures(rows)]
    assert costs["params"].tolist() == [plan.params for plan in plans]
    assert costs["macs"].tolist() == [plan.macs for plan in plans]
    assert all(column.dtype == np.int64 for column in costs.values())


@pytest.mark.parametrize("preset", ["tiny", "small", "ofa", "bignas"])
def test_presets_cost_what_their_plans_cost(preset: str) -> None:
    space = get("mobilenet", task=ImageClassification(64, 3, 7), preset=preset)
    check(space, space.sample_choices(np.random.default_rng(0), 60))


@pytest.mark.parametrize("kind", SPACES)
def test_uniform_members_cost_what_their_plans_cost(kind: str) -> None:
    check(SPACES[kind], SPACES[kind].feasible().sample(np.random.default_rng(0), 100))


def test_a_depth_without_other_genes_still_costs() -> None:
    space = fixed_depths()
    assert space.names == ("stage1.depth",)
    check(space, members(space))
