from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nas import ledger
from nas.evaluation import PARTIAL
from tests.cli.calling import nas, one_line
from tests.conftest import SHORT, TASK


def test_it_leaves_everything_in_the_run_folder(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names >= {"supernet", "journal.log", "search.json", "front.png"}
    assert (finished / "front.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((finished / "search.json").read_text())
    assert document["trials"] == len(ledger.read(finished).trials) == 24
    assert document["out"] == str(finished)
    assert {"front", "best", "knee", "wall_s"} <= document.keys()


def test_the_front_is_tested_on_images_that_selected_nothing(finished: Path) -> None:
    document = json.loads((finished / "search.json").read_text())
    assert document["front"]
    for member in document["front"]:
        assert {"accuracy", "test_accuracy", "macs", "params"} <= member["metrics"].keys()
    assert not any("test_accuracy" in trial.metrics for trial in ledger.read(finished).trials)


def test_resume_goes_on_to_more_trials_and_keeps_the_old(run_folder: Path) -> None:
    before = [trial.arch.digest for trial in ledger.read(run_folder).trials]
    refused = nas("search", *TASK, "--trials", 32, "--batch", 8, "--out", run_folder)
    assert "--resume" in refused.err.splitlines()[-1]
    assert refused.code == 1
    outcome = nas("search", *TASK, "--trials", 32, "--batch", 8, "--out", run_folder, "--resume", "--json")
    assert outcome.code == 0
    assert (outcome.document["trials"], outcome.document["new"]) == (32, 8)
    assert [trial.arch.digest for trial in ledger.read(run_folder).trials][:24] == before


def test_the_same_seed_gives_the_same_trials(finished: Path, tmp_path: Path) -> None:
    words = ("search", "--supernet", finished, "--trials", 24, "--batch", 8, "--device", "cpu", "--json")
    again = nas(*words, "--out", tmp_path / "again")
    assert again.code == 0
    first = {trial.arch.digest: trial.metrics for trial in ledger.read(finished).trials}
    assert {trial.arch.digest: trial.metrics for trial in ledger.read(tmp_path / "again").trials} == first
    other = nas(*words, "--out", tmp_path / "other", "--seed", 1)
    assert {trial.arch.digest for trial in ledger.read(tmp_path / "other").trials} != first.keys()
    assert other.code == 0


def test_latency_as_objective_and_constraint(finished: Path, tmp_path: Path) -> None:
    outcome = nas(
        "search", "--supernet", finished, "--objective", "accuracy", "--objective", "min:latency_ms",
        "--constraint", "latency_ms<=1e5", "--searcher", "random", "--trials", 4, "--batch", 4,
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert all(member["metrics"]["latency_ms"] > 0 for member in outcome.document["front"])


def test_budgets_hold_for_every_trial(finished: Path, tmp_path: Path) -> None:
    bound = sorted(trial.metrics["macs"] for trial in ledger.read(finished).trials)[12]
    outcome = nas(
        "search", "--supernet", finished, "--constraint", f"macs<={bound}", "--trials", 8, "--batch", 8,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert all(trial.metrics["macs"] <= bound for trial in ledger.read(tmp_path / "run").trials)
    assert f"macs<={bound:.12g}" in outcome.out


def test_racing_stops_candidates_and_leaves_them_out_of_the_front(finished: Path, tmp_path: Path) -> None:
    outcome = nas(
        "search", "--supernet", finished, "--trials", 60, "--batch", 60, "--searcher", "random", "--racing",
        "--out", tmp_path / "run", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    trials = ledger.read(tmp_path / "run").trials
    partial = [trial for trial in trials if PARTIAL in trial.metrics]
    assert 0 < len(partial) == outcome.document["stopped"] < len(trials)
    assert outcome.document["feasible"] == len(trials) - len(partial)
    assert not {trial.arch.digest for trial in partial} & {m["digest"] for m in outcome.document["front"]}
    assert outcome.document["totals"]["share_saved_by_racing"] > 0


def test_a_run_of_another_supernet_is_opened_through_its_document(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "narrow"
    assert nas("search", "--supernet", finished, "--trials", 8, "--batch", 8, "--out", out).code == 0
    assert not (out / "supernet").exists()
    assert nas("evaluate", out, "--arch", "knee", "--json").code == 0


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--searcher", "nsga"], 2, "Did you mean 'nsga"),
        (["--objective", "acuracy"], 2, "Did you mean 'accuracy'?"),
        (["--objective", "best:accuracy"], 2, "'min' or 'max'"),
        (["--objective", "peak_mem_bytes"], 2, "For a metric of your own say what is better"),
        (["--objective", "max:peak_mem_bytes"], 2, "Known: accuracy"),
        (["--objective", "test_accuracy"], 2, "no search sees the test split"),
        (["--constraint", "mac<=3e6"], 2, "Did you mean 'macs'?"),
        (["--constraint", "macs<3e6"], 2, "macs<=3e6"),
        (["--constraint", "macs<=1"], 1, "smallest reachable value"),
        (["--device", "tpu"], 2, "--device"),
        (["--racing", "--objective", "latency_ms"], 2, "racing cannot judge by 'latency_ms'"),
        (["--racing", "--objective", "min:accuracy"], 2, "racing cannot run min:accuracy; it looks for max:accuracy"),
        (["--racing", "--constraint", "latency_ms<=5"], 2, "--racing may stop those who meet latency_ms<=5"),
        (["--racing", "--objective", "macs"], 2, "racing needs exactly one objective that examples decide"),
        (["--rule", "bignass"], 2, "Did you mean 'bignas'?"),
    ],
)
def test_bad_goals_fail_before_anything_is_trained(tmp_path: Path, words: list[str], code: int, hint: str) -> None:
    outcome = nas("search", *TASK, *words, "--out", tmp_path / "run")
    assert hint in one_line(outcome)
    assert outcome.code == code
    assert not (tmp_path / "run").exists()


def test_a_measured_bound_that_nothing_meets(finished: Path, tmp_path: Path) -> None:
    outcome = nas(
        "search", "--supernet", finished, "--constraint", "accuracy>=1.5", "--trials", 4, "--batch", 4,
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert "accuracy>=1.5; the nearest has accuracy" in outcome.err.splitlines()[-1]
    assert outcome.code == 1
    assert not (tmp_path / "run" / "search.json").exists()


def test_training_options_have_no_place_beside_a_supernet(finished: Path) -> None:
    outcome = nas("search", "--supernet", finished, "--epochs", 3)
    assert "--epochs has no place beside --supernet" in one_line(outcome)
    assert outcome.code == 2


def test_a_supernet_trained_in_another_way_is_not_reused(finished: Path) -> None:
    outcome = nas("search", *TASK, "--epochs", 9, "--out", finished, "--resume")
    assert "epochs=2, not 9" in one_line(outcome)
    assert outcome.code == 2


def test_missing_and_foreign_supernets(run_folder: Path, tmp_path: Path) -> None:
    missing = nas("search", "--supernet", tmp_path / "nowhere")
    assert "no such folder" in one_line(missing)
    weights = run_folder / "supernet" / "supernet.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    truncated = nas("search", "--supernet", run_folder)
    assert "supernet.safetensors" in one_line(truncated)
    (run_folder / "supernet" / "supernet.json").write_text("{}")
    foreign = nas("search", "--supernet", run_folder)
    assert "supernet.json" in one_line(foreign)
    assert missing.code == truncated.code == foreign.code == 1


def test_a_ledger_of_another_search_is_refused(run_folder: Path) -> None:
    outcome = nas("search", "--supernet", run_folder, "--trials", 32, "--batch", 8, "--seed", 5, "--resume")
    assert "another search" in outcome.err.splitlines()[-1]
    assert outcome.code == 1


def test_a_supernet_of_another_seed_is_not_reused(finished: Path) -> None:
    outcome = nas("search", *TASK, "--trials", 32, "--seed", 5, "--out", finished, "--resume")
    assert "seed=0, not 5" in one_line(outcome)
    assert outcome.code == 2


def test_json_is_one_document_also_when_it_trains(tmp_path: Path) -> None:
    outcome = nas("search", *TASK, *SHORT[:2], "--trials", 8, "--batch", 8, "--out", tmp_path / "run", "--json")
    assert outcome.document == json.loads((tmp_path / "run" / "search.json").read_text())
    shutil.rmtree(tmp_path / "run")
