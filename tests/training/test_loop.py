from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import CheckpointError, Diverged, UsageError
from nas.objectives import Metric
from nas.training import CHECKPOINT, Loop, NotFinite, Progress, StepResult
from nas.training import loop as module

METRIC = Metric("hits", "max")


class Stopped(Exception):
    """Stands for a kill at a step boundary."""


class Sum:
    """Adds up the numbers of its steps: no network, no data."""

    def __init__(self, broken: int = -1, loss: float = math.nan) -> None:
        self.total, self.broken, self.loss = torch.zeros(()), broken, loss
        self.ran: list[int] = []

    def step(self, number: int) -> StepResult:
        if number == self.broken:
            raise NotFinite("counting", self.loss, "try smaller numbers")
        self.ran.append(number)
        self.total = self.total + number
        return StepResult(number // 3 + 1, "counting", float(number), METRIC, float(number))

    @property
    def state(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.total = state["total"]


def stop_at(step: int) -> Callable[[Progress], None]:
    def progress(p: Progress) -> None:
        if p.step == step:
            raise Stopped

    return progress


def test_progress_tells_every_step_and_smooths_the_metric() -> None:
    training, seen = Sum(), list[Progress]()
    Loop(training, 6).run(progress=seen.append)
    assert training.ran == list(range(6))
    assert [(p.step, p.steps, p.epoch, p.phase) for p in seen[:4]] == [
        (1, 6, 1, "counting"), (2, 6, 1, "counting"), (3, 6, 1, "counting"), (4, 6, 2, "counting"),
    ]  # fmt: skip
    assert [p.loss for p in seen] == [0, 1, 2, 3, 4, 5]
    assert [p.value for p in seen[:3]] == pytest.approx([0.0, 0.05, 0.05 * 0.95 + 0.1])
    assert all(p.metric is METRIC for p in seen)
    assert seen[-1].seconds_left == 0.0
    assert all(p.seconds >= 0 for p in seen)


@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_run_repeats_an_undisturbed_one(stop: int, tmp_path: Path) -> None:
    whole, expected = Sum(), list[Progress]()
    Loop(whole, 6).run(progress=expected.append)
    with pytest.raises(Stopped):  # progress comes before the checkpoint: one step less is safe
        Loop(Sum(), 6, directory=tmp_path, checkpoint_s=-1).run(progress=stop_at(stop))
    training, seen = Sum(), list[Progress]()
    Loop(training, 6, directory=tmp_path).run(resume=True, progress=seen.append)
    assert training.ran == list(range(stop - 1, 6))
    assert training.total == whole.total
    assert seen[-1].value == expected[-1].value


def test_a_finished_run_resumes_to_nothing_more(tmp_path: Path) -> None:
    Loop(Sum(), 4, directory=tmp_path).run()
    training = Sum()
    Loop(training, 4, directory=tmp_path).run(resume=True)
    assert training.ran == []
    assert training.total == 6


def test_divergence_says_where_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged) as caught:
        Loop(Sum(broken=4), 6, directory=tmp_path, checkpoint_s=-1).run()
    path = tmp_path / CHECKPOINT
    assert str(caught.value) == (
        "the loss became nan at step 5 of 6 (phase 'counting'), that is not finite; "
        f"the checkpoint {path} is from before; try smaller numbers"
    )
    assert torch.load(path, weights_only=True)["step"] == 4
    with pytest.raises(Diverged, match=r"the loss became 2 at step 1 .*, its gradient is not finite; try"):
        Loop(Sum(broken=0, loss=2.0), 6).run()


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    Loop(Sum(), 2, directory=tmp_path, identity={"data": "a", "epochs": 1}).run()
    with pytest.raises(CheckpointError, match="epochs=1, now it is 2"):
        Loop(Sum(), 2, directory=tmp_path, identity={"data": "a", "epochs": 2}).run(resume=True)
    Loop(Sum(), 2, directory=tmp_path, identity={"data": "a", "epochs": 1}).run(resume=True)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        Loop(Sum(), 2).run(resume=True)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Loop(Sum(), 2, directory=tmp_path).run(resume=True)


def test_only_who_writes_writes_and_at_the_end_at_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Loop(Sum(), 3, directory=tmp_path, writes=False, checkpoint_s=-1).run()
    assert not list(tmp_path.iterdir())
    written: list[int] = []
    monkeypatch.setattr(module.files, "save_state", lambda path, state: written.append(state["step"]))
    Loop(Sum(), 5, directory=tmp_path).run()
    Loop(Sum(), 3, directory=tmp_path, checkpoint_s=-1).run()
    assert written == [5, 1, 2, 3]
