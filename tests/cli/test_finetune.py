from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nas as package
from tests.cli.calling import nas, one_line


def test_the_folder_opens_and_says_what_it_is_worth(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    outcome = nas(
        "finetune", finished, "--arch", "smallest", "--epochs", 4, "--learning-rate", 0.1, "--out", out, "--json"
    )
    assert outcome.code == 0, outcome.err
    document = outcome.document
    network = package.load(out)
    assert network.arch.digest == document["digest"]
    assert network.metrics == pytest.approx(document["metrics"])
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert document["before"]["macs"] == document["metrics"]["macs"]
    # Two epochs of the supernet left plenty to learn.
    assert document["metrics"]["test_accuracy"] > document["before"]["test_accuracy"]

    exported = nas("export", out, "--format", "onnx", "--out", tmp_path / "tuned.onnx", "--json")
    assert exported.code == 0, exported.err
    assert exported.document["metrics"] == pytest.approx(document["metrics"])


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--epochs", "0"], 2, "--epochs"),
        (["--learning-rate", "0"], 2, "--learning-rate"),
        (["--arch", "larges"], 2, "Did you mean 'largest'?"),
    ],
)
def test_bad_input(finished: Path, words: list[str], code: int, hint: str) -> None:
    outcome = nas("finetune", finished, *words)
    assert hint in one_line(outcome)
    assert outcome.code == code


def test_it_does_not_overwrite_what_it_did_not_write(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    outcome = nas("finetune", finished, "--arch", "smallest", "--epochs", 1, "--out", tmp_path)
    assert "already holds something" in one_line(outcome)
    assert outcome.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_it_does_not_overwrite_an_earlier_result(run_folder: Path) -> None:
    words = ("finetune", run_folder, "--arch", "smallest", "--epochs", 1)
    first = nas(*words, "--json")
    kept = (Path(first.document["out"]) / "model.safetensors").read_bytes()
    assert "already holds something" in one_line(nas(*words))
    assert (Path(first.document["out"]) / "model.safetensors").read_bytes() == kept


def test_a_fine_tuned_folder_is_no_run(finished: Path, tmp_path: Path) -> None:
    assert nas("export", finished, "--arch", "smallest", "--out", tmp_path / "x").code == 0
    outcome = nas("finetune", tmp_path / "x")
    assert "holds one exported network, not a run" in one_line(outcome)
    assert outcome.code == 1
