from __future__ import annotations

import math

import pytest

from nas import task as tasks
from nas.search_spaces import FAMILIES, get
from nas.search_spaces.cells import nasbench201
from nas.search_spaces.mobilenet import presets as mobilenet_presets
from nas.search_spaces.transformers import flexibert
from nas.task import ImageClassification
from tests.cli.calling import nas, one_line


def test_every_preset_with_its_exact_size() -> None:
    rows = nas("spaces", "--json").document["spaces"]
    modules = {"mobilenet": mobilenet_presets, "nasbench201": nasbench201, "flexibert": flexibert}
    listed = [(name, preset) for name, module in modules.items() for preset in module.PRESETS]
    assert [(row["space"], row["preset"]) for row in rows] == listed
    assert list(dict(listed)) == list(FAMILIES)
    for row in rows:
        space = get(row["space"], task=tasks.from_json(row["task"]), preset=row["preset"])
        assert row["size"] == space.size
        assert row["choices"] == {gene.name: list(gene.choices) for gene in space.genes}
        assert (row["params"], row["macs"]) == tuple(list(space.cost_range(metric)) for metric in ("params", "macs"))


def test_the_full_preset_is_as_large_as_published() -> None:
    rows = {row["preset"]: row for row in nas("spaces", "--json").document["spaces"] if row["space"] == "mobilenet"}
    # Cai et al. 2020: per stage, 2 to 4 blocks of 9 choices each; 5 stages, and the resolutions.
    assert rows["ofa"]["size"] == 4 * (9**2 + 9**3 + 9**4) ** 5
    assert rows["ofa"]["size"] > 10**19


def test_the_input_size_changes_resolutions_and_costs() -> None:
    small = nas("spaces", "--json", "--input-size", 8).document["spaces"][0]
    large = nas("spaces", "--json", "--input-size", 32).document["spaces"][0]
    assert max(small["choices"]["resolution"]) == 8
    assert max(large["choices"]["resolution"]) == 32
    assert small["macs"][1] < large["macs"][1]


def test_people_get_a_text_with_the_size() -> None:
    outcome = nas("spaces", "--input-size", 8, "--in-channels", 1)
    size = get("mobilenet", task=ImageClassification(8, 1, 10), preset="tiny").size
    assert outcome.code == 0
    assert f"{size:,} architectures" in outcome.out
    assert math.log10(size) > 3


def test_texts_are_counted_in_tokens_and_keep_their_own_length() -> None:
    outcome = nas("spaces", "--input-size", 8)
    assert "15,625 architectures for 8x8 images of 3 channels in 10 classes" in outcome.out
    assert "10,621,440 architectures for texts of 128 tokens out of 30,522 in 10 classes" in outcome.out
    assert outcome.err == ""


def test_a_preset_that_cannot_take_the_images_is_left_out_and_named() -> None:
    outcome = nas("spaces", "--json", "--input-size", 10)
    assert outcome.code == 0
    assert {row["space"] for row in outcome.document["spaces"]} == {"mobilenet", "flexibert"}
    lines = outcome.err.splitlines()
    assert [line.partition(" is left out: ")[0] for line in lines] == [
        f"nasbench201 --preset {name}" for name in nasbench201.PRESETS
    ]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_images_that_no_space_takes_are_an_error(size: int) -> None:
    outcome = nas("spaces", "--input-size", size)
    assert outcome.code == 2
    assert f"images must be at least 4x4, got {size}x{size}" in one_line(outcome)
