from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nas.errors import UnknownName, UsageError
from nas.networks.flexibert import FlexiBert
from nas.search_spaces import FlexiBertSpace, SearchSpace, from_json, get
from nas.search_spaces.transformers.flexibert import OPERATIONS, FlexiBertConfig
from nas.task import TextClassification
from nas.testing import SearchSpaceContract
from nas.testing.macs import count_macs
from nas.testing.spaces import members

TASK = TextClassification(7, 50, 3)


def tiny(**changes: Any) -> FlexiBertSpace:
    space = get("flexibert", task=replace(TASK, **changes), preset="tiny")
    assert isinstance(space, FlexiBertSpace)
    return space


def full() -> FlexiBertSpace:
    space = get("flexibert", task=TextClassification(16, 300, 2))
    assert isinstance(space, FlexiBertSpace)
    return space


class TestTiny(SearchSpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return tiny()


class TestFull(SearchSpaceContract):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return get("flexibert", task=TextClassification(128, 30_522, 2))


@pytest.mark.parametrize("space", [tiny(), full()], ids=["tiny", "full"])
def test_costs_equal_those_counted_on_the_networks(space: FlexiBertSpace) -> None:
    rows = space.sample_choices(np.random.default_rng(0), 30)
    costs, embedded = space.costs_of(rows), space.embedding_params_of(rows)
    tokens = torch.zeros(1, space.task.length, dtype=torch.long)
    seen = set()
    for i, arch in enumerate(space.architectures(rows)):
        network = FlexiBert(space, arch)
        assert costs["params"][i] == sum(p.numel() for p in network.parameters())
        assert embedded[i] == network.words.weight.numel() + network.positions.weight.numel()
        assert costs["macs"][i] == count_macs(network, tokens)
        seen |= {arch[f"layer{layer}.operation"] for layer in range(int(arch["depth"]))}
    assert seen == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_costs_what_it_has(operation: str) -> None:
    space = tiny()
    for heads in space.config.heads:
        genes = space.smallest().genes | {"layer0.operation": operation, "layer0.heads": heads}
        arch = space.from_genes(genes)
        network = FlexiBert(space, arch)
        assert space.cost(arch).params == sum(p.numel() for p in network.parameters())
        assert space.cost(arch).macs == count_macs(network, torch.zeros(1, space.task.length, dtype=torch.long))


def test_size_is_the_number_of_distinct_members() -> None:
    rows = members(tiny())
    assert tiny().size == len(rows) == 2 * (48 + 48**2)
    assert len(set(tiny().architectures(rows))) == len(rows)
    assert full().size == 2 * (48**2 + 48**4)
    for metric, values in tiny().costs_of(rows).items():
        assert tiny().cost_range(metric) == (values.min(), values.max())


def test_layers_exist_below_the_depth() -> None:
    shallow = full().smallest()
    assert shallow["depth"] == 2
    assert [name for name in full().names if name not in shallow.genes] == [
        f"layer{layer}.{kind}" for layer in (2, 3) for kind in ("operation", "heads", "width", "stack")
    ]
    assert len(full().largest().genes) == len(full().names)


def test_the_table_has_the_default_choices() -> None:
    assert full().preset == "full"
    assert full().genes[0].choices == (128, 256)
    assert full().genes[1].choices == (2, 4)
    assert [gene.choices for gene in full().genes[3:6]] == [(2, 4), (512, 1024), (1, 3)]


def test_digests_are_pinned() -> None:
    assert tiny().smallest().digest == "5b6a2c6c607e4f59"
    assert tiny().digest == "9b2366db0fda7b79"


def broken(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(tiny().to_json() | changes))
    return document


def configured(**changes: Any) -> dict[str, Any]:
    return broken(config={**broken()["config"], **changes})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (broken(version=2), "version 1, the file has 2"),
        (broken(config={}), "not the description"),
        (broken(config=3), "not the description"),
        (broken(task={**broken()["task"], "vocabulary": 0}), "vocabulary must be a positive integer"),
        (broken(task={**broken()["task"], "kind": "image_classification"}), "exactly size"),
        (configured(colour=[1, 2]), "not the description"),
        (configured(heads=3), "not the description"),
        (configured(heads="ab"), "heads must be at least two ascending positive integers"),
        (configured(heads=[2]), "heads must be at least two"),
        (configured(heads=[4, 2]), "heads must be at least two ascending"),
        (configured(heads=[2, True]), "heads must be at least two ascending"),
        (configured(widths=[0, 4]), "widths must be at least two ascending positive"),
        (configured(heads=[2, 3]), "3 heads do not divide a hidden size of 16"),
    ],
)
def test_foreign_documents(document: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(document)


def test_unknown_presets_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'full'"):
        get("flexibert", task=TASK, preset="ful")


def test_the_task_and_the_choices_belong_to_the_digest() -> None:
    other = FlexiBertConfig((16, 32), (1, 2), (2, 4), (64, 96), (1, 3))
    spaces = [tiny(), tiny(length=8), tiny(vocabulary=51), tiny(classes=4)]
    assert len({space.digest for space in [*spaces, FlexiBertSpace(other, task=TASK, preset="tiny")]}) == 5
