from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.cluster import training as ray_training
from nas.cluster.training import Mailbox, Workers, train_on_workers
from nas.errors import CheckpointError, Diverged, UnknownName, UsageError, WorkersLost
from nas.search_spaces import SearchSpace
from nas.supernets import RULES, MobileNetSupernet, build, load, train
from nas.training import CHECKPOINT, Phase, Progress, SubNetwork
from nas.training.rule import Sampler
from tests.cli.calling import nas, one_line
from tests.images import stripes
from tests.spaces import SPACES

# Ray Train loads Ray Data, which warns of its own settings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for this module."""
    ray = pytest.importorskip("ray", reason="training on workers needs Ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield
        ray.shutdown()


@dataclass
class DiesOnce:
    """Draws as `inner` does, and notes every step in `log`; one process kills itself at its eleventh step."""

    inner: Sampler
    log: Path
    steps: int = 0

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        self.steps += 1
        with self.log.open("a") as file:
            file.write(f"{os.getpid()} {rng.bit_generator.seed_seq.entropy[2]}\n")  # type: ignore[attr-defined]
        if self.steps == 11:
            try:
                self.log.with_suffix(".dead").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(space, rng)


def test_a_killed_worker_restarts_all_from_the_last_checkpoint(cluster: None, tmp_path: Path) -> None:
    data, one = stripes(128), MobileNetSupernet(SPACES["learned"], seed=0)
    supernet = copy.deepcopy(one)
    rule, log = RULES["sandwich"], tmp_path / "steps"
    phases = [replace(p, sampler=DiesOnce(p.sampler, log)) for p in rule.phases(one.space)]

    def fixed(space: SearchSpace) -> list[Phase]:
        return phases

    words: dict[str, Any] = {"epochs": 5, "batch_size": 32, "learning_rate": 0.02}
    train(one, data, rule=rule, **words)
    seen: list[Progress] = []
    train_on_workers(
        supernet, data, Workers(2), rule=replace(rule, phases=fixed), **words, directory=tmp_path / "run",
        progress=seen.append, checkpoint_s=-1,
    )  # fmt: skip
    for name, value in supernet.state_dict().items():
        torch.testing.assert_close(value, one.state_dict()[name], rtol=0, atol=5e-4, msg=name)
    assert not supernet.training
    assert seen[-1].step == seen[-1].steps == 20
    steps: dict[int, list[int]] = {}
    for line in log.read_text().splitlines():
        pid, step = map(int, line.split())
        steps.setdefault(pid, []).append(step)
    assert len(steps) == 4  # two workers, twice
    *lost, second, third = steps.values()
    assert all(each == list(range(11)) for each in lost)
    assert second == third == list(range(second[0], 20))
    assert second[0] in (9, 10)  # the step that was lost, or one more whose checkpoint was not yet written
    assert [path.name for path in (tmp_path / "run").iterdir()] == [CHECKPOINT]


def test_the_command_line_trains_what_one_process_does(cluster: None, tmp_path: Path) -> None:
    words = ("train", "--space", "mobilenet", "--data", "digits", "--rule", "single_path", "--train-images", 256)
    words = (*words, "--epochs", 1, "--batch-size", 64, "--learning-rate", 0.05, "--seed", 3, "--device", "cpu")
    outcome = nas(*words, "--workers", 2, "--out", tmp_path / "two", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["recipe"]["workers"] == 2
    assert "independent_sampling" not in outcome.document["recipe"]
    folder = tmp_path / "two" / "supernet"
    assert sorted(path.name for path in folder.iterdir()) == ["supernet.json", "supernet.safetensors"]
    assert nas(*words, "--out", tmp_path / "one").code == 0
    two, one = load(folder), load(tmp_path / "one" / "supernet")
    assert "workers" not in one.recipe
    fresh = build(one.supernet.space, seed=3).state_dict()
    moved = 0.0
    for name, value in one.supernet.state_dict().items():
        torch.testing.assert_close(two.supernet.state_dict()[name], value, rtol=0, atol=5e-4, msg=name)
        moved = max(moved, float((fresh[name] - value).abs().max()))
    assert moved > 0.01


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--diverse"], "--diverse says how workers train; say how many with --workers"),
        (["--gpus-per-worker", "1"], "--workers"),
        (["--ray", "here"], "--workers"),
        (["--workers", "2", "--device", "cpu", "--gpus-per-worker", "1"], "contradict"),
        (["--workers", "3", "--device", "cpu"], "use a batch size of 129"),
    ],
)
def test_wrong_use_of_workers(words: list[str], hint: str, tmp_path: Path) -> None:
    outcome = nas("train", "--space", "mobilenet", "--data", "digits", "--out", tmp_path, *words)
    assert hint in outcome.err.splitlines()[-1]
    assert outcome.code == 2


def test_a_supernet_of_other_diverse_workers_is_refused(tmp_path: Path) -> None:
    words = ("train", "--space", "mobilenet", "--data", "digits", "--rule", "single_path", "--train-images", 128)
    words = (*words, "--epochs", 1, "--device", "cpu", "--out", tmp_path)
    assert nas(*words).code == 0
    again = nas(*words, "--resume", "--workers", 2, "--diverse")
    assert "no diverse workers trained, not 2" in one_line(again)
    assert again.code == 2
    path = tmp_path / "supernet" / "supernet.json"
    document = json.loads(path.read_text())
    document["recipe"] |= {"workers": 2, "independent_sampling": True}
    path.write_text(json.dumps(document))
    assert nas(*words, "--resume", "--workers", 2, "--diverse").code == 0


def test_a_cluster_that_is_too_small_is_refused(cluster: None) -> None:
    supernet, data = MobileNetSupernet(SPACES["learned"], seed=0), stripes(96)
    with pytest.raises(UsageError, match="3 workers with 1 CPUs each do not fit the Ray cluster, which has 2"):
        train_on_workers(supernet, data, Workers(3), rule="ofa", epochs=1, batch_size=48)
    with pytest.raises(UsageError, match="GPUs"):
        train_on_workers(supernet, data, Workers(2, gpus=64), rule="ofa", epochs=1, batch_size=48)


def test_wrong_use_is_found_before_ray_starts() -> None:
    supernet, data = MobileNetSupernet(SPACES["learned"], seed=0), stripes(96)
    with pytest.raises(UsageError, match="divide"):
        train_on_workers(supernet, data, Workers(5), rule="ofa", epochs=1, batch_size=48)
    with pytest.raises(UnknownName, match="bignas"):
        train_on_workers(supernet, data, Workers(2), rule="bignass", epochs=1, batch_size=48)
    with pytest.raises(UsageError, match="workers >= 1"):
        Workers(0)


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.extras.find_spec", lambda package: None)
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    with pytest.raises(UsageError, match=r"not installed: pip install 'elastic-nas\[ray\]'"):
        train_on_workers(supernet, stripes(96), Workers(2), rule="ofa", epochs=1, batch_size=48)


class Reply:
    """A method of a remote actor, called here."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class Stub:
    """What `_until_done` asks of Ray, in this process; each time it is asked there are fewer CPUs."""

    def __init__(self, cpus: int = 100) -> None:
        self.cpus = cpus

    def cluster_resources(self) -> dict[str, float]:
        self.cpus -= 1
        return {"CPU": float(self.cpus)}

    def put(self, value: Any) -> Any:
        return value

    def get(self, value: Any) -> Any:
        return value

    def kill(self, actor: Any) -> None:
        pass


class Box:
    """A mailbox whose methods have a `remote`."""

    def __init__(self) -> None:
        box = Mailbox()
        self.news, self.fail = Reply(box.news), Reply(box.fail)


def attempts(monkeypatch: pytest.MonkeyPatch, folder: Path, outcomes: str, cpus: int = 100) -> list[bool]:
    """Run attempts that end as told; returns whether each resumed.

    Args:
        monkeypatch: Of the test.
        folder: Where checkpoints go.
        outcomes: One letter an attempt: d(ies), w(rites a checkpoint and dies), e(nds well), n(ot finite).
        cpus: Of the cluster, one more than at the first attempt.
    """
    resumed: list[bool] = []

    def attempt(ray: Any, config: dict[str, Any], *rest: Any) -> Exception | None:
        kind = outcomes[len(resumed)]
        resumed.append(config["resume"])
        if kind in "we":
            (folder / "new").write_text(str(len(resumed)))
            os.replace(folder / "new", folder / CHECKPOINT)
        if kind == "n":
            config["mailbox"].fail.remote(Diverged("the loss became nan"))
        return None if kind == "e" else RuntimeError("workers failed\n  rank 1: killed\n")

    monkeypatch.setattr(ray_training, "_attempt", attempt)
    monkeypatch.setattr(ray_training, "_mailbox", lambda ray: Box())
    job = ray_training._Job(
        MobileNetSupernet(SPACES["learned"], seed=0), stripes(8), RULES["ofa"], 1, 32, None, 0, folder, False, None
    )
    ray_training._until_done(Stub(cpus), job, Workers(2), False, None)
    return resumed


@pytest.mark.parametrize(
    ("outcomes", "resumed"),
    [
        ("e", [False]),
        ("dde", [False, False, False]),
        ("ddwdde", [False, False, False, True, True, True]),
        ("wwwwe", [False, True, True, True, True]),
    ],
)
def test_attempts_go_on_while_there_is_progress(
    outcomes: str, resumed: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempts(monkeypatch, tmp_path, outcomes) == resumed


def test_a_checkpoint_from_before_is_not_resumed_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CHECKPOINT).write_text("old")
    assert attempts(monkeypatch, tmp_path, "dwe") == [False, False, True]


@pytest.mark.parametrize("outcomes", ["ddd", "wddd"])
def test_three_deaths_without_progress_end_it(outcomes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkersLost, match=r"died 3 times .*\(rank 1: killed\).*--resume") as caught:
        attempts(monkeypatch, tmp_path, outcomes)
    assert "\n" not in str(caught.value)


def test_a_cluster_that_became_too_small_is_said_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attempts(monkeypatch, tmp_path, "de", cpus=4) == [False, False]
    with pytest.raises(UsageError, match="2 workers with 1 CPUs each do not fit the Ray cluster, which has 1"):
        attempts(monkeypatch, tmp_path, "dde", cpus=4)


def test_errors_of_workers_are_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Diverged, match="the loss became nan"):
        attempts(monkeypatch, tmp_path, "n")


def test_a_folder_that_workers_do_not_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_training, "_stamp", lambda path: None)
    with pytest.raises(CheckpointError, match="that all machines share"):
        attempts(monkeypatch, tmp_path, "e")
