from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import UnknownName, UsageError
from nas.networks.nasbench201 import NasBench201
from nas.search_spaces import NasBench201Space, SearchSpace, from_json, get
from nas.task import ImageClassification, TextClassification
from nas.testing import SearchSpaceContract
from nas.testing.macs import count_macs
from nas.testing.spaces import members

TASK = ImageClassification(8, 3, 5)


def tiny(**changes: Any) -> NasBench201Space:
    space = get("nasbench201", task=replace(TASK, **changes), preset="tiny")
    assert isinstance(space, NasBench201Space)
    return space


class TestTiny(SearchSpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return tiny()


class TestFull(SearchSpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return get("nasbench201", task=ImageClassification(32, 3, 10))


@pytest.mark.parametrize("channels", [1, 3])
def test_costs_equal_those_counted_on_the_networks(channels: int) -> None:
    space = tiny(channels=channels)
    archs = [space.smallest(), space.largest()]
    archs += space.architectures(space.sample_choices(np.random.default_rng(0), 30))
    image = torch.zeros(1, channels, 8, 8)
    for arch in archs:
        network = NasBench201(space, arch)
        assert space.cost(arch).params == sum(p.numel() for p in network.parameters())
        assert space.cost(arch).macs == count_macs(network, image)


def test_every_cell_is_a_member_once() -> None:
    rows = members(tiny())
    assert tiny().size == len(rows) == 15_625
    assert len(set(tiny().architectures(rows))) == 15_625


def test_the_benchmarks_networks_are_the_default() -> None:
    space = get("nasbench201")
    assert space.task == ImageClassification(32, 3, 10)
    assert (space.preset, space.channels, space.cells) == ("full", 16, 5)  # type: ignore[attr-defined]
    assert space.cost(space.largest()).params == 1_531_546  # all 3x3 convolutions: as the benchmark counts them


def test_digests_are_pinned() -> None:
    assert tiny().smallest().digest == "2468d2fd4b1ede6d"
    assert tiny().digest == "0816f0b2526082a4"


def broken(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(tiny().to_json() | changes))
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (broken(version=2), "version 1, the file has 2"),
        (broken(config={}), "not the description"),
        (broken(config=3), "not the description"),
        (broken(config={"channels": "many", "cells": 1}), "not the description"),
        (broken(config={"channels": 0, "cells": 1}), "positive channels"),
        (broken(task=None), "a task is a JSON object"),
    ],
)
def test_foreign_documents(document: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(document)


def test_tasks_it_cannot_take() -> None:
    with pytest.raises(UsageError, match="halves its images twice; 10 pixels"):
        tiny(size=10)
    with pytest.raises(UsageError, match="is for ImageClassification, and these are texts"):
        get("nasbench201", task=TextClassification(8, 100, 2))
    with pytest.raises(UnknownName, match="Did you mean 'full'"):
        get("nasbench201", task=TASK, preset="ful")
