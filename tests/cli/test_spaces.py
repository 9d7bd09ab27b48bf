from __future__ import annotations

import math

from nas.search_spaces import get, mobilenet_presets
from tests.cli.calling import nas


def test_every_preset_with_its_exact_size() -> None:
    rows = nas("spaces", "--json").document["spaces"]
    assert [row["preset"] for row in rows] == list(mobilenet_presets.PRESETS)
    for row in rows:
        space = get(row["space"], input_size=row["input_size"], in_channels=3, num_classes=10, preset=row["preset"])
        assert row["size"] == space.size
        assert row["choices"] == {gene.name: list(gene.choices) for gene in space.genes}
        assert row["macs"] == [space.cost(space.smallest()).macs, space.cost(space.largest()).macs]


def test_the_full_preset_is_as_large_as_published() -> None:
    rows = {row["preset"]: row for row in nas("spaces", "--json").document["spaces"]}
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
    size = get("mobilenet", input_size=8, in_channels=1, num_classes=10, preset="tiny").size
    assert outcome.code == 0
    assert f"{size:,} architectures" in outcome.out
    assert math.log10(size) > 3
