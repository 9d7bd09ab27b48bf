from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nas import ledger
from tests.cli.calling import nas

TASK = ("search", "--space", "nasbench201", "--preset", "tiny", "--data", "digits", "--device", "cpu")
SMALL = ("--proxy-images", 8, "--trials", 12, "--batch", 4)
needs_data = pytest.mark.skipif("NAS_DATA_DIR" not in os.environ, reason="needs the data folder")


def test_a_proxy_is_an_objective(tmp_path: Path) -> None:
    words = (*TASK, *SMALL, "--objective", "gradsign", "--objective", "min:params", "--out", tmp_path)
    outcome = nas(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["trials"] == 12
    assert all({"gradsign", "params"} <= member["metrics"].keys() for member in outcome.document["front"])
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "search.json").read_text())["best"] == outcome.document["best"]
    assert len(ledger.read(tmp_path).trials) == 12
    more = nas(*words, "--resume", "--trials", 16, "--json")
    assert (more.document["trials"], more.document["new"]) == (16, 4)


def test_workers_give_the_same_trials(tmp_path: Path) -> None:
    words = (*TASK, *SMALL, "--objective", "gradsign", "--json")
    alone = nas(*words, "--out", tmp_path / "alone")
    shared = nas(*words, "--workers", 2, "--cpus-per-worker", 0.5, "--out", tmp_path / "shared")
    assert shared.code == 0, shared.err
    assert shared.document["front"] == alone.document["front"]
    trials = [[(t.arch, t.metrics) for t in ledger.read(tmp_path / name).trials] for name in ("alone", "shared")]
    assert trials[0] == trials[1]
    assert (shared.document["totals"]["workers"], shared.document["totals"]["architectures"]) == (2, 12)


def test_people_are_told_what_a_score_is(tmp_path: Path) -> None:
    outcome = nas(*TASK, *SMALL, "--objective", "synflow", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "never trained" in outcome.out
    assert "nas proxies" in outcome.out


def test_bounds_on_costs_hold(tmp_path: Path) -> None:
    words = ("--objective", "snip", "--constraint", "params<=9000", "--searcher", "local", "--out", tmp_path)
    outcome = nas(*TASK, *SMALL, *words, "--json")
    assert outcome.code == 0, outcome.err
    assert all(trial.metrics["params"] <= 9000 for trial in ledger.read(tmp_path).trials)


def test_a_supernet_is_searched_with_assistance(finished: Path, tmp_path: Path) -> None:
    words = ("search", "--supernet", finished, "--trials", 8, "--batch", 4, "--device", "cpu", "--proxy-images", 8)
    outcome = nas(*words, "--searcher", "random", "--assist", "synflow", "--out", tmp_path / "a", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["assist"] == "synflow"
    plain = nas(*words, "--searcher", "random", "--out", tmp_path / "b", "--json")
    costs = [sum(t.metrics["params"] for t in ledger.read(tmp_path / name).trials) for name in "ab"]
    assert plain.code == 0
    assert costs[0] > 1.2 * costs[1]  # what synflow takes for good is large
    again = nas(*words, "--searcher", "random", "--assist", "snip", "--out", tmp_path / "a", "--resume")
    assert again.code == 1
    assert "another search" in again.err


@needs_data
def test_a_table_answers(tmp_path: Path) -> None:
    task = ("search", "--space", "nasbench201", "--data", "cifar10:images/cifar10_jpeg.tar.xz", "--device", "cpu")
    words = (*task, "--table", "nas/nb201_full.csv.xz", "--trials", 40, "--out", tmp_path)
    outcome = nas(*words, "--json")
    assert outcome.code == 0, outcome.err
    best = outcome.document["best"]["metrics"]
    assert 0.85 < best["test_accuracy"] < 0.95
    assert not any("test_accuracy" in trial.metrics for trial in ledger.read(tmp_path).trials)


@needs_data
def test_a_table_needs_no_images(tmp_path: Path) -> None:
    words = ("search", "--space", "nasbench201", "--table", "nas/nb201_full.csv.xz", "--objective", "accuracy")
    outcome = nas(*words, "--trials", 20, "--out", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["data"] == "table"
    assert len(ledger.read(tmp_path).trials) == 20


@needs_data
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("flexibert", "--table", "nas/flexibert_250.json"), "248 of 10,621,440 members"),
        (("nasbench201", "--table", "nas/flexibert_250.json"), "no column 'ops'"),
        (
            ("nasbench201", "--preset", "tiny", "--data", "cifar10:images/cifar10_jpeg.tar.xz",
             "--table", "nas/nb201_full.csv.xz"),
            "leave --preset out",
        ),
    ],
)  # fmt: skip
def test_tables_that_no_search_fits(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    outcome = nas("search", "--space", *words, "--objective", "accuracy", "--out", tmp_path)
    assert outcome.code in (1, 2)
    assert said in outcome.err.splitlines()[-1]


def test_another_search_of_the_folder_is_refused_before_training(tmp_path: Path) -> None:
    assert nas(*TASK, *SMALL, "--objective", "snip", "--out", tmp_path).code == 0
    outcome = nas("search", "--space", "mobilenet", "--data", "digits", "--out", tmp_path)
    assert outcome.code == 1
    assert "nasbench201" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "supernet").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*TASK, "--objective", "gradsign", "--objective", "accuracy"), "--table"),
        ((*TASK, "--objective", "gradsign", "--objective", "min:latency_ms"), "latency_ms"),
        ((*TASK, "--objective", "gradsing"), "gradsign"),
        ((*TASK, "--objective", "gradsign", "--epochs", 3), "--epochs"),
        ((*TASK, "--objective", "gradsign", "--cpus-per-worker", 2), "--workers"),
        ((*TASK, "--objective", "gradsign", "--ray", "auto"), "--workers"),
        ((*TASK, "--table", "nas/nb201_full.csv.xz", "--workers", 2), "--workers"),
        ((*TASK, "--objective", "loss", "--table", "t.csv"), "no loss"),
        ((*TASK, "--objective", "te_nas"), "ntk_condition"),
        ((*TASK, "--objective", "accuracy", "--table", "missing.csv"), "missing.csv"),
        (("search", "--space", "mobilenet", "--table", __file__), "no benchmark table"),
        (("search", "--table", __file__), "--space"),
        ((*TASK, "--table", __file__, "--objective", "accuracy"), "CIFAR-10"),
        ((*TASK, "--objective", "snip", "--assist", "az_nas"), "ranks a set"),
        ((*TASK, "--objective", "snip", "--constraint", "params<=10"), "smallest"),
        ((*TASK,), "gradsign"),
    ],
)
def test_wrong_use_is_one_line(words: tuple[object, ...], said: str, tmp_path: Path) -> None:
    outcome = nas(*words, "--out", tmp_path / "out")
    assert outcome.code in (1, 2)
    assert said in outcome.err.splitlines()[-1]
    assert "internal" not in outcome.err
    assert not (tmp_path / "out" / "search.json").exists()
