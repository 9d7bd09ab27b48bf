from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nas
from nas import ledger
from nas.errors import StudyError, UnknownName, UsageError
from nas.evaluation import Metrics
from nas.pipelines.workers import WorkerPool
from nas.search_spaces import Architecture
from nas.searchers import Evolution, Random
from nas.study import Progress as SearchProgress
from nas.training import Progress as TrainingProgress
from tests.images import stripes
from tests.searching import SPACE, Table, plain

TINY = nas.search_spaces.get("nasbench201", task=nas.task.ImageClassification(8, 1, 10), preset="tiny")


class Depth:
    """A metric that nobody declared."""

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        return [{"genes": float(len(arch.genes))} for arch in archs]


def biggest(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """A proxy of one's own."""
    return float(sum(p.numel() for p in model.parameters()))


def test_an_evaluator_of_ones_own(tmp_path: Path) -> None:
    result = nas.search(SPACE, evaluator=Depth(), objectives=["min:genes"], trials=12, batch=6, out=tmp_path)
    assert len(result.trials) == 12
    assert result.best.metrics["genes"] == min(trial.metrics["genes"] for trial in result.trials)
    assert result.document == json.loads((tmp_path / "search.json").read_text())
    assert (result.document["evaluator"], result.document["best"]["digest"]) == ("Depth", result.best.arch.digest)
    assert [trial.arch for trial in result.front] == [SPACE.from_document(m["arch"]) for m in result.document["front"]]
    assert result.knee in result.front
    assert result.picture.read_bytes().startswith(b"\x89PNG")


def test_a_metric_that_the_evaluator_lacks(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'genes'"):
        nas.search(SPACE, evaluator=Depth(), objectives=["min:genez"], trials=4, out=tmp_path)


def test_strategies_and_builders_search_as_the_name_does(tmp_path: Path) -> None:
    trials = [
        plain(nas.search(SPACE, evaluator=Table(), searcher=searcher, trials=20, batch=5, out=tmp_path / str(i)).trials)
        for i, searcher in enumerate(("random", Random(), nas.searchers.get("random")))
    ]
    assert trials[0] == trials[1] == trials[2]


def test_the_same_seed_goes_on_to_the_same_trials(tmp_path: Path) -> None:
    whole = nas.search(SPACE, evaluator=Table(), searcher=Evolution(8, 3), trials=30, batch=10, out=tmp_path / "whole")
    nas.search(SPACE, evaluator=Table(), searcher=Evolution(8, 3), trials=13, batch=10, out=tmp_path / "part")
    resumed = nas.search(
        SPACE, evaluator=Table(), searcher=Evolution(8, 3), trials=30, batch=10, out=tmp_path / "part", resume=True
    )
    assert plain(resumed.trials) == plain(whole.trials)
    assert resumed.document["new"] == 17


def test_a_proxy_of_ones_own_is_an_objective(tmp_path: Path) -> None:
    result = nas.search(
        TINY, "digits", proxies=[biggest], objectives=["biggest", "min:macs"], trials=6, batch=3, proxy_images=4,
        out=tmp_path, device="cpu",
    )  # fmt: skip
    assert all(trial.metrics["biggest"] == trial.metrics["params"] for trial in result.trials)
    assert result.goals.metrics["biggest"].label == "score biggest"
    with pytest.raises(UnknownName, match="Did you mean 'biggest'"):
        nas.search(TINY, "digits", proxies=[biggest], objectives=["max:bigest", "biggest"], out=tmp_path / "other")


def test_a_table_in_memory(tmp_path: Path) -> None:
    archs = TINY.architectures(TINY.sample_choices(np.random.default_rng(0), 400))
    rows = {arch: {"accuracy": i / 1000, "test_accuracy": i / 2000} for i, arch in enumerate(dict.fromkeys(archs))}
    result = nas.search(TINY, table=rows, searcher="random", trials=600, batch=200, out=tmp_path)
    known = [trial for trial in result.trials if trial.metrics]
    assert known
    assert {trial.arch for trial in known} <= rows.keys()
    assert all(trial.metrics["test_accuracy"] == rows[trial.arch]["test_accuracy"] for trial in result.front)
    assert not any("test_accuracy" in trial.metrics for trial in ledger.read(tmp_path).trials)
    changed = {arch: {"accuracy": 0.5} for arch in rows}
    with pytest.raises(StudyError, match="another search"):
        nas.search(TINY, table=changed, searcher="random", trials=600, batch=200, out=tmp_path, resume=True)


def test_a_supernet_in_memory_becomes_the_runs_own(tmp_path: Path) -> None:
    data, supernet = stripes(), nas.supernets.build(SPACE, seed=0)
    words = {"supernet": supernet, "data": data, "trials": 6, "batch": 3, "out": tmp_path, "device": "cpu"}
    result = nas.search(**words)
    stored = nas.supernets.load(tmp_path / "supernet")
    assert result.document["weights"] == stored.digest
    assert all("test_accuracy" in trial.metrics for trial in result.front)
    again = nas.search(**words | {"supernet": stored}, resume=True)
    assert (again.document["new"], plain(again.trials)) == (0, plain(result.trials))
    with torch.no_grad():
        next(supernet.parameters()).add_(1.0)
    with pytest.raises(UsageError, match="holds another supernet"):
        nas.search(**words, resume=True)


def test_it_trains_where_there_is_no_supernet_and_says_how_far_it_is(tmp_path: Path) -> None:
    told, news = list[object](), list[str]()
    words = {"rule": "single_path", "epochs": 1, "trials": 4, "batch": 2, "out": tmp_path, "device": "cpu"}
    result = nas.search(SPACE, stripes(), progress=told.append, news=news.append, **words)
    assert isinstance(told[0], TrainingProgress)
    assert isinstance(told[-1], SearchProgress)
    assert result.document["recipe"]["rule"] == "single_path"
    assert news == []
    nas.search(SPACE, stripes(), news=news.append, resume=True, **words)
    assert news == [f"using the supernet in {tmp_path}"]


def test_a_run_is_searched_as_the_command_line_does(finished: Path, tmp_path: Path) -> None:
    result = nas.search(supernet=finished, trials=24, batch=8, device="cpu", out=tmp_path)
    document = json.loads((finished / "search.json").read_text())
    assert result.document["front"] == document["front"]
    assert plain(ledger.read(tmp_path).trials) == plain(ledger.read(finished).trials)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "--space is missing"),
        ({"space": SPACE}, "--data is missing"),
        ({"space": SPACE, "data": "digits"}, "the space is made for channels=3, but the data have 1"),
        ({"evaluator": Depth()}, "needs a space"),
        ({"space": SPACE, "evaluator": Depth(), "epochs": 3}, "--epochs has no place where an evaluator of your own"),
        ({"space": SPACE, "evaluator": Depth(), "workers": 2}, "--workers has no place"),
        ({"space": SPACE, "data": stripes(), "preset": "tiny"}, "preset 'tiny' has no place"),
        ({"space": "mobilenet", "data": stripes(), "train_images": 9}, "train_images has no place"),
        ({"supernet": nas.supernets.build(SPACE, seed=0), "rule": "ofa"}, "--rule has no place beside --supernet"),
        ({"supernet": nas.supernets.build(SPACE, seed=0)}, "--data is missing"),
        ({"space": SPACE, "data": stripes(), "workers": 0}, "workers must be at least 1"),
        ({"space": SPACE, "data": stripes(), "workers": WorkerPool(1), "racing": True}, "leave out --workers"),
        ({"space": SPACE, "data": stripes(), "memory": float("nan")}, "this machine has"),
        (
            {"space": SPACE, "evaluator": Table(), "assist": "params", "searcher": nas.searchers.get("random"),
             "data": stripes()},
            "give its strategy",
        ),
        ({"space": SPACE, "evaluator": Table(), "assist": "az_nas", "data": stripes()}, "ranks a set"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(words: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        nas.search(**words, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
