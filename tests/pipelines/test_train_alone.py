from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import nas
from nas.errors import CheckpointError, UnknownName, UsageError
from nas.files import file_digest
from nas.pipelines.evaluate import evaluate
from nas.pipelines.export import export
from nas.pipelines.train_alone import train_alone
from nas.training import Progress
from tests.images import stripes
from tests.spaces import SPACES

SPACE, DATA = SPACES["learned"], stripes()


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def progress(p: Progress) -> None:
        if p.step == step:
            raise KeyboardInterrupt

    return progress


def test_a_folder_that_opens_and_converts(tmp_path: Path) -> None:
    result = train_alone(SPACE, "smallest", DATA, epochs=2, batch_size=32, out=tmp_path / "net", device="cpu")
    assert result.arch == SPACE.smallest()
    assert {"accuracy", "test_accuracy", "params", "macs"} <= result.metrics.keys()
    network = nas.load(result.out)
    assert (network.arch, network.metrics) == (result.arch, pytest.approx(result.metrics))
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
    converted = export(result.out, format="pt2")
    assert converted.path == tmp_path / "net.pt2"
    assert network(torch.rand(3, 3, 8, 8)).shape == (3, 5)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.training.loop.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    arch = tmp_path / "arch.json"
    arch.write_text(json.dumps(SPACE.largest().to_json()))

    def run(name: str, *, resume: bool = False, stop: int = 0) -> Path:
        return train_alone(
            SPACE, arch, DATA, epochs=2, batch_size=32, out=tmp_path / name, device="cpu", resume=resume,
            progress=interrupt_at(stop),
        ).out  # fmt: skip

    whole = file_digest(run("whole") / "model.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run("part", stop=4)
    assert not (tmp_path / "part").exists()
    with pytest.raises(CheckpointError, match="go on with --resume"):
        run("part")
    assert file_digest(run("part", resume=True) / "model.safetensors") == whole
    assert not (tmp_path / "part.training").exists()
    assert run("part", resume=True, stop=1) == tmp_path / "part"  # complete: no step is made
    (tmp_path / "part.training").mkdir()  # left by a kill after the last write
    run("part", resume=True)
    assert not (tmp_path / "part.training").exists()
    with pytest.raises(UsageError, match="already holds something"):
        run("part")
    with pytest.raises(UsageError, match="holds another network"):
        train_alone(SPACE, "smallest", DATA, out=tmp_path / "part", resume=True)


def test_one_network_is_evaluated_by_its_folder(tmp_path: Path) -> None:
    space = nas.search_spaces.get("nasbench201", task=nas.task.ImageClassification(8, 1, 10), preset="tiny")
    data = nas.data.load("digits", train_images=200)
    result = train_alone(space, "smallest", data, epochs=1, out=tmp_path / "net", device="cpu")
    again = evaluate(tmp_path / "net", data="digits", device="cpu")
    assert again.metrics == pytest.approx(result.metrics)
    with pytest.raises(UsageError, match="give --data"):
        evaluate(tmp_path / "net")
    with pytest.raises(UsageError, match="--arch has no place"):
        evaluate(tmp_path / "net", "best", data="digits")


def test_what_is_no_architecture(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'largest'"):
        train_alone(SPACE, "largset", DATA, out=tmp_path / "net")
    with pytest.raises(UnknownName, match="Did you mean 'adamw'"):
        train_alone(SPACE, "largest", DATA, optimiser="adam", out=tmp_path / "net")
    assert list(tmp_path.iterdir()) == []
