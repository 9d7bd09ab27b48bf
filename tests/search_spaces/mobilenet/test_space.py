from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas.errors import UnknownName, UsageError
from nas.search_spaces import MobileNetSpace, SearchSpace, from_json, get
from nas.search_spaces.mobilenet.config import StageSpec, shortcut
from nas.task import ImageClassification
from nas.testing import SearchSpaceContract
from nas.testing.spaces import members
from tests.spaces import BASE, SPACES, space


def fixed_depths() -> MobileNetSpace:
    """Nothing but the depth of the second stage is a gene."""
    stages = (
        StageSpec((8,), (2,), (3,), (2,), 1, "relu", squeeze=False),
        StageSpec((12,), (1, 3), (5,), (3,), 2, "hswish", squeeze=True),
    )
    return space(replace(BASE, resolutions=(8,), stages=stages))


class MobileNetContract(SearchSpaceContract):
    """What holds for MobileNet spaces beyond the general contract."""

    def test_costs_equal_the_plans(self, space: MobileNetSpace) -> None:
        archs = space.architectures(space.sample_choices(np.random.default_rng(0), 40))
        costs = space.costs(archs)
        plans = [space.plan(arch) for arch in archs]
        assert costs["params"].tolist() == [plan.params for plan in plans]
        assert costs["macs"].tolist() == [plan.macs for plan in plans]

    def test_plans_follow_the_genes(self, space: MobileNetSpace) -> None:
        for arch in space.architectures(space.sample_choices(np.random.default_rng(1), 10)):
            plan = space.plan(arch)
            assert plan.resolution == arch.genes.get("resolution", space.config.resolutions[0])
            channels, size = space.config.stem_channels, plan.stem_size
            for block in plan.blocks:
                assert (block.in_channels, block.in_size) == (channels, size)
                channels, size = block.out_channels, block.out_size
            for s, spec in enumerate(space.config.stages):
                own = [block for block in plan.blocks if block.stage == s]
                assert [block.index for block in own] == list(range(arch.genes.get(f"stage{s}.depth", spec.depths[0])))
                for b, block in enumerate(own):
                    assert block.kernel == arch.genes.get(f"stage{s}.block{b}.kernel", spec.kernels[0])
                    assert block.expansion == arch.genes.get(f"stage{s}.block{b}.expansion", spec.expansions[0])
                    assert block.out_channels == arch.genes.get(f"stage{s}.width", spec.widths[0])

    def test_the_largest_costs_most_and_the_smallest_least(self, space: MobileNetSpace) -> None:
        costs = space.costs([space.smallest(), *space.architectures(space.sample_choices(np.random.default_rng(2), 50)),
                             space.largest()])  # fmt: skip
        for column in costs.values():
            assert column[0] == column.min()
            assert column[-1] == column.max()


class TestLearned(MobileNetContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACES["learned"]


class TestCrop(MobileNetContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACES["crop"]


class TestFixedBlock(MobileNetContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACES["fixed"]


class TestFixedDepths(MobileNetContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return fixed_depths()


class TestTiny(MobileNetContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return get("mobilenet", task=ImageClassification(8, 1, 10))


def test_digests_are_pinned() -> None:
    tiny = get("mobilenet", task=ImageClassification(8, 1, 10))
    assert tiny.digest == "3d03bc5a83b1443e"
    assert tiny.smallest().digest == "91902e632ada27fa"
    assert tiny.largest().digest == "26ea435fcbcf6c04"


def test_the_task_belongs_to_the_digest() -> None:
    tasks = [(8, 1, 10), (8, 3, 10), (8, 1, 9), (10, 1, 10)]
    assert len({get("mobilenet", task=ImageClassification(*task)).digest for task in tasks}) == 4


@pytest.mark.parametrize("kind", SPACES)
def test_size_is_the_number_of_distinct_members(kind: str) -> None:
    config = SPACES[kind].config
    small = space(
        replace(config, stages=tuple(replace(s, kernels=s.kernels[:2], depths=s.depths[:2]) for s in config.stages))
    )
    rows = members(small)
    assert small.size == len(rows)
    assert len(set(small.architectures(rows))) == len(rows)


def test_ofa_has_as_many_members_as_the_paper_counts() -> None:
    per_stage = 9**2 + 9**3 + 9**4
    ofa = get("mobilenet", task=ImageClassification(224, 3, 1000), preset="ofa")
    assert ofa.size == 4 * per_stage**5 == 4 * 7371**5 > 10**19


def broken(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(SPACES["learned"].to_json() | changes))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"name": "mobilnet", "config": {}}, "'mobilenet'"),
        ({}, "a space is a JSON object"),
        ([], "a space is a JSON object"),
        (broken(version=2), "version 1, the file has 2"),
        (broken(config={}), "not the description"),
        (broken(config=3), "not the description"),
        (broken(config=[1, 2]), "not the description"),
        (broken(task=3), "a task is a JSON object"),
        (broken(task={"kind": "image"}), "unknown task 'image'"),
        (broken(task={**broken()["task"], "classes": "many"}), "classes must be a positive integer"),
        (broken(task={**broken()["task"], "classes": 0}), "classes must be a positive integer, got 0"),
        (broken(task={"kind": "image_classification", "size": 8}), "exactly size, channels, classes"),
        (broken(task={"kind": "text_classification", "length": 8, "vocabulary": 9, "classes": 2}), "is for Image"),
        (broken(config={**broken()["config"], "colour": 1}), "not the description"),
        (broken(config={**broken()["config"], "stages": [3]}), "not the description"),
        (broken(config={**broken()["config"], "stages": []}), "at least one stage"),
        (broken(config={**broken()["config"], "resolutions": []}), "resolutions must be"),
        (broken(config={**broken()["config"], "resolutions": 8}), "not the description|resolutions must be"),
        (broken(config={**broken()["config"], "resolutions": ["a"]}), "not the description|resolutions must be"),
        (broken(config={**broken()["config"], "stem_channels": 0}), "stem_channels"),
        (broken(config={**broken()["config"], "stem_stride": 0}), "stem_stride"),
        (broken(config={**broken()["config"], "head_channels": -1}), "head_channels"),
        (broken(config={**broken()["config"], "kernel_transform": "magic"}), "kernel_transform"),
        (broken(config={**broken()["config"], "stem_activation": "gelu"}), "stem_activation"),
    ],
)
def test_foreign_documents(document: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(document)


def test_text_that_is_no_json_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="JSON"):
        from_json('{"name": ')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": (12, 8)}, "stage 0 widths must be ascending positive integers"),
        ({"widths": ()}, "stage 0 widths"),
        ({"depths": (0, 1)}, "stage 0 depths must be an integer of at least 1, got 0"),
        ({"kernels": (3, 4)}, "must be odd"),
        ({"expansions": (3, 3)}, "stage 0 expansions"),
        ({"expansions": (1, 3)}, "1 builds no expand convolution"),
        ({"stride": 0}, "stage 0 stride"),
        ({"activation": "gelu"}, "stage 0 activation"),
    ],
)
def test_impossible_stages(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        space(replace(BASE, stages=(replace(BASE.stages[0], **change), *BASE.stages[1:])))


def test_transition_shortcuts_halve_maps_at_most() -> None:
    stages = (BASE.stages[0], replace(BASE.stages[1], stride=3))
    space(replace(BASE, stages=stages))
    with pytest.raises(UsageError, match="stage 1 stride 3"):
        space(replace(BASE, stages=stages, transition_shortcuts=True))


def test_resolutions_stay_inside_the_images() -> None:
    with pytest.raises(UsageError, match="resolutions"):
        space(replace(BASE, resolutions=(8, 10)))


def test_unknown_spaces_and_presets_name_the_nearest() -> None:
    task = ImageClassification(8, 1, 10)
    with pytest.raises(UnknownName, match="Did you mean 'mobilenet'"):
        get("mobilenets", task=task)
    with pytest.raises(UnknownName, match="Did you mean 'tiny'"):
        get("mobilenet", task=task, preset="tny")


def test_shortcuts_depend_on_the_space_alone() -> None:
    learned, crop, fixed = (SPACES[kind].config for kind in ("learned", "crop", "fixed"))
    assert [shortcut(learned, 0, 0), shortcut(learned, 0, 1), shortcut(learned, 1, 0)] == ["none", "identity", "none"]
    assert [shortcut(crop, s, b) for s, b in ((0, 0), (0, 1), (1, 0))] == ["projection", "identity", "projection"]
    assert shortcut(fixed, 0, 0) == "identity"
