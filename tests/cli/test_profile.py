from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import nas, one_line


def test_every_member_is_measured(run_folder: Path) -> None:
    outcome = nas("profile", run_folder, "--batch", 2, "--threads", 1, "--passes", 10, "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    front = json.loads((run_folder / "search.json").read_text())["front"]
    assert {member["digest"] for member in document["front"]} == {member["digest"] for member in front}
    for member in document["front"]:
        assert 0 < member["latency_low_ms"] <= member["latency_ms"] <= member["latency_high_ms"]
    assert [member["macs"] for member in document["front"]] == sorted(m["macs"] for m in document["front"])
    assert json.loads((run_folder / "profile.json").read_text()) == document


def test_people_get_a_table_and_a_verdict(run_folder: Path) -> None:
    outcome = nas("profile", run_folder, "--passes", 10)
    assert "median ms" in outcome.out
    assert "macs" in outcome.out.splitlines()[-1]


@pytest.mark.parametrize("words", [["--batch", "0"], ["--threads", "0"], ["--passes", "1"]])
def test_bad_input(finished: Path, words: list[str]) -> None:
    outcome = nas("profile", finished, *words)
    assert words[0] in one_line(outcome)
    assert outcome.code == 2


def test_without_a_search_there_is_no_front(run_folder: Path) -> None:
    (run_folder / "search.json").unlink()
    outcome = nas("profile", run_folder)
    assert "no finished search here" in one_line(outcome)
    assert outcome.code == 1
