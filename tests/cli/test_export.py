from __future__ import annotations

from pathlib import Path

import pytest

import nas as package
from nas.exporting import FORMATS
from tests.cli.calling import nas, one_line


@pytest.mark.parametrize("format", FORMATS)
def test_every_format(finished: Path, tmp_path: Path, format: str) -> None:
    out = tmp_path / "exported"
    outcome = nas("export", finished, "--arch", "smallest", "--format", format, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    assert out.is_dir() == (format == "safetensors")
    assert outcome.document["out"] == str(out)
    assert list(tmp_path.iterdir()) == [out]


def test_the_folder_opens_with_its_figures(finished: Path, tmp_path: Path) -> None:
    document = nas("export", finished, "--arch", "knee", "--out", tmp_path / "x", "--json").document
    network = package.load(tmp_path / "x")
    assert network.arch.digest == document["digest"]
    assert network.metrics == pytest.approx(document["metrics"])
    assert len(network.class_names) == 10


def test_the_default_place_is_in_the_run(run_folder: Path) -> None:
    outcome = nas("export", run_folder, "--arch", "best", "--json")
    assert Path(outcome.document["out"]) == run_folder / "exported" / outcome.document["digest"]


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--format", "onxx"], 2, "Did you mean 'onnx'?"),
        (["--arch", "bets"], 2, "Did you mean 'best'?"),
    ],
)
def test_bad_input(finished: Path, words: list[str], code: int, hint: str) -> None:
    outcome = nas("export", finished, *words)
    assert hint in one_line(outcome)
    assert outcome.code == code


def test_an_exported_folder_needs_another_format(finished: Path, tmp_path: Path) -> None:
    assert nas("export", finished, "--arch", "smallest", "--out", tmp_path / "x").code == 0
    outcome = nas("export", tmp_path / "x")
    assert "choose another --format" in one_line(outcome)
    assert outcome.code == 2
    chosen = nas("export", tmp_path / "x", "--arch", "knee", "--format", "onnx")
    assert "--arch has no place here" in one_line(chosen)
    assert chosen.code == 2
