from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import nas, one_line


def test_it_repeats_what_the_search_said(finished: Path) -> None:
    best = json.loads((finished / "search.json").read_text())["best"]
    outcome = nas("evaluate", finished, "--arch", "best", "--device", "cpu", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["digest"] == best["digest"]
    assert outcome.document["metrics"] == pytest.approx(best["metrics"])


def test_people_get_the_metrics(finished: Path) -> None:
    outcome = nas("evaluate", finished, "--arch", "smallest")
    assert outcome.code == 0
    assert "test_accuracy" in outcome.out


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--arch", "kneee"], 2, "Did you mean 'knee'?"),
        (["--data", "npz:gone.npz"], 1, "gone.npz"),
        (["--device", "cuda:77"], 2, "--device"),
    ],
)
def test_bad_input(finished: Path, words: list[str], code: int, hint: str) -> None:
    outcome = nas("evaluate", finished, *words)
    assert hint in one_line(outcome)
    assert outcome.code == code


def test_a_missing_run() -> None:
    outcome = nas("evaluate", "results/there-is-none")
    assert "no such folder" in one_line(outcome)
    assert outcome.code == 1


def test_an_empty_folder(tmp_path: Path) -> None:
    outcome = nas("evaluate", tmp_path)
    assert "no supernet here" in one_line(outcome)
    assert outcome.code == 1
