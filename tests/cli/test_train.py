from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nas.supernets as supernets
from nas.training import Progress
from tests.cli.calling import nas, one_line
from tests.conftest import TASK


def test_it_writes_a_supernet_that_says_how_it_was_made(tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = nas("train", *TASK, "--epochs", 1, "--rule", "single_path", "--out", out, "--seed", 3, "--json")
    assert outcome.code == 0
    stored = supernets.load(out / "supernet")
    assert outcome.document["weights"] == stored.digest
    recipe = dict(stored.recipe)
    assert (recipe["rule"], recipe["epochs"], recipe["seed"], recipe["data"]) == ("single_path", 1, 3, "digits")
    assert sorted(path.name for path in (out / "supernet").iterdir()) == ["supernet.json", "supernet.safetensors"]
    again = nas("train", *TASK, "--epochs", 1, "--out", out)
    assert "already holds a trained supernet" in one_line(again)
    assert again.code == 2


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    words = ("train", *TASK, "--epochs", 1, "--rule", "single_path", "--train-images", 256, "--json")
    first, second, other = (
        nas(*words, "--out", tmp_path / name, "--seed", seed).document["weights"]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--space", "mobilnet", "--data", "digits"], 2, "Did you mean 'mobilenet'?"),
        (["--space", "mobilenet", "--data", "digit"], 2, "Did you mean 'digits'?"),
        (["--space", "mobilenet", "--data", "digits", "--preset", "tinny"], 2, "Did you mean 'tiny'?"),
        (["--space", "mobilenet", "--data", "digits", "--rule", "big_nas"], 2, "Did you mean 'bignas'?"),
        (["--space", "mobilenet", "--data", "digits", "--device", "gpu"], 2, "cpu"),
        (["--space", "mobilenet", "--data", "digits", "--device", "cuda:99"], 2, "CUDA devices"),
        (["--space", "mobilenet", "--data", "digits", "--learning-rate", "-1"], 2, "learning rate"),
        (["--space", "mobilenet", "--data", "npz:missing.npz"], 1, "missing.npz"),
        (["--space", "mobilenet", "--data", "folder:missing"], 1, "missing"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path: Path, words: list[str], code: int, hint: str) -> None:
    out = tmp_path / "run"
    outcome = nas("train", *words, "--out", out)
    line = outcome.err.splitlines()[-1]
    assert hint in line
    assert outcome.code == code
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.rglob("supernet.*"))


@pytest.mark.parametrize("command", ["train", "search"])
@pytest.mark.parametrize("space", ["nasbench201", "flexibert"])
def test_spaces_of_standalone_networks_say_what_to_do(tmp_path: Path, command: str, space: str) -> None:
    out = tmp_path / "run"
    outcome = nas(command, "--space", space, "--data", "digits", "--out", out)
    assert outcome.code == 2
    line = one_line(outcome)
    assert f"space '{space}' has stand-alone networks only" in line
    assert "--objective gradsign" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("arrays", "hint"),
    [
        ({"x_train": np.zeros((40, 8, 8), np.uint8), "y_train": np.arange(40) % 4 - 1}, "label"),
        ({"x_train": np.zeros((40, 8), np.uint8), "y_train": np.arange(40) % 4}, "shape"),
    ],
)
def test_data_of_the_wrong_form(tmp_path: Path, arrays: dict[str, np.ndarray], hint: str) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])
    outcome = nas("train", "--space", "mobilenet", "--data", f"npz:{path}", "--out", tmp_path / "run")
    line = one_line(outcome)
    assert hint in line
    assert str(path) in line
    assert outcome.code == 1
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    outcome = nas("train", *TASK, "--epochs", 1, "--learning-rate", "1e30", "--out", tmp_path / "run")
    line = outcome.err.splitlines()[-1]
    assert outcome.code == 1
    assert line.startswith("error: ")
    assert "step" in line
    assert not (tmp_path / "run" / "supernet" / "supernet.json").exists()


def test_interrupted_training_goes_on_with_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", *TASK, "--epochs", 2, "--rule", "single_path", "--train-images", 512)
    undisturbed = nas(*words, "--out", tmp_path / "whole", "--json").document["weights"]
    out = tmp_path / "run"
    original = Progress.__init__

    def interrupt(self: Progress, step: int, *rest: object) -> None:
        original(self, step, *rest)  # type: ignore[arg-type]
        if step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr("nas.training.loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(Progress, "__init__", interrupt)
    assert nas(*words, "--out", out).code == 130
    monkeypatch.setattr(Progress, "__init__", original)
    refused = nas(*words, "--out", out)
    assert "--resume" in one_line(refused)
    assert refused.code == 1
    resumed = nas(*words, "--out", out, "--resume", "--json")
    assert resumed.code == 0
    assert resumed.document["weights"] == undisturbed


def test_resuming_with_other_settings_is_refused(finished: Path) -> None:
    outcome = nas("train", *TASK, "--rule", "ofa", "--out", finished, "--resume")
    assert "rule=sandwich" in one_line(outcome)
    assert outcome.code == 2


def test_the_recipe_is_in_the_document(finished: Path) -> None:
    document = json.loads((finished / "supernet" / "supernet.json").read_text())
    assert document["recipe"]["epochs"] == 2


def test_one_network_alone(tmp_path: Path) -> None:
    words = ("train", *TASK, "--arch", "smallest", "--train-images", 256, "--epochs", 2, "--out", tmp_path / "net")
    outcome = nas(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert {"digest", "arch", "metrics", "out", "wall_s"} == outcome.document.keys()
    exported = nas("export", tmp_path / "net", "--format", "onnx", "--json")
    assert exported.code == 0, exported.err
    assert exported.document["metrics"] == outcome.document["metrics"]
    evaluated = nas("evaluate", tmp_path / "net", "--data", "digits", "--json")
    assert evaluated.document["digest"] == outcome.document["digest"]
    again = nas(*words)
    assert "already holds something" in one_line(again)
    assert again.code == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--arch", "smallest", "--rule", "ofa"], "--rule is about supernets"),
        (["--arch", "smallest", "--workers", "2"], "--workers is about supernets"),
        (["--arch", "smallest", "--diverse"], "--diverse is about supernets"),
        (["--optimiser", "adamw"], "say which with --arch"),
        (["--arch", "missing.json"], "no such file"),
    ],
)
def test_options_of_supernets_and_of_networks(tmp_path: Path, words: list[str], hint: str) -> None:
    outcome = nas("train", *TASK, *words, "--out", tmp_path / "run")
    assert hint in one_line(outcome)
    assert outcome.code == 2
    assert list(tmp_path.iterdir()) == []
