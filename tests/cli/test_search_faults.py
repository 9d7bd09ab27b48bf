from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas import ledger
from tests.cli.calling import nas, one_line
from tests.searching import plain

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched in Linux's way")


def recorded(directory: Path) -> list[str]:
    """The digest of every trial that was ever written, twice where it was written twice."""
    lines = [json.loads(line) for line in (directory / ledger.JOURNAL).read_text().splitlines()]
    return [line["user_attrs"]["digest"] for line in lines if "digest" in line.get("user_attrs", {})]


def front(directory: Path) -> list[dict[str, Any]]:
    members: list[dict[str, Any]] = json.loads((directory / "search.json").read_text())["front"]
    return members


@linux
def test_a_driver_that_is_killed_ten_times_reaches_the_same_front(finished: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.killing", str(finished), str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["codes"] == [0, 0]
    assert report["kills"] == 10
    digests = recorded(tmp_path / "killed")
    for kept in report["kept"]:
        assert digests[: len(kept)] == kept  # nothing is lost
    counts = [len(kept) for kept in report["kept"]]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 5
    assert len(digests) == len(set(digests)) == 60
    whole, killed = (ledger.read(tmp_path / name) for name in ("whole", "killed"))
    assert plain(killed.trials) == plain(whole.trials)
    assert front(tmp_path / "killed") == front(tmp_path / "whole")


@contextmanager
def started(words: list[object], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command line in a process group of its own, which does not outlive a failed test."""
    driver = subprocess.Popen(
        [sys.executable, "-m", "nas.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        with driver:
            try:
                yield driver
            except BaseException:
                os.killpg(driver.pid, signal.SIGKILL)
                raise
    finally:
        assert driver.poll() is not None


def wait_for_trials(directory: Path, driver: subprocess.Popen[str], count: int) -> None:
    """Until the journal holds so many trials, or the driver has ended."""
    path = directory / ledger.JOURNAL
    while not path.exists() or path.read_text().count('"digest"') < count:
        try:
            driver.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(driver.communicate()[1])


def test_ctrl_c_keeps_the_trials_and_says_how_to_go_on(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["search", "--supernet", finished, "--trials", 5000, "--batch", 4, "--out", out, "--device", "cpu"]
    with started(words) as driver:
        wait_for_trials(out, driver, 6)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nas.cluster.supernet_pool.supernet_pool", pytest.fail)  # refused before workers start
            second = nas(*words, "--workers", 2)
        for refused in (nas(*words), second):
            assert f"is in use by process {driver.pid} on " in refused.err.splitlines()[-1]
            assert refused.code == 1
        os.killpg(driver.pid, signal.SIGINT)
        printed, said = driver.communicate()
    assert driver.returncode == 130
    assert printed == ""
    *_, last = said.splitlines()
    assert "interrupted" in last
    assert "--resume" in last
    record = ledger.read(out)
    assert len(record.trials) % 4 == 0
    assert record.totals[0]["trials"] == len(record.trials)
    more = nas(*(word if word != 5000 else len(record.trials) + 4 for word in words), "--resume", "--json")
    assert more.document["new"] == 4


def test_a_full_disk_is_one_line(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages.journal import JournalFileBackend

    original, count = JournalFileBackend.append_logs, iter(range(1000))

    def append(self: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        if "user_attrs" in logs[0] and next(count) == 5:
            raise OSError(28, "No space left on device")
        original(self, logs)

    words = ("search", "--supernet", run_folder, "--trials", 40, "--batch", 8, "--resume", "--device", "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(JournalFileBackend, "append_logs", append)
        outcome = nas(*words)
    assert f"error: cannot write to {run_folder}: " in outcome.err.splitlines()[-1]
    assert "No space left on device" in outcome.err.splitlines()[-1]
    assert (outcome.code, outcome.out) == (1, "")
    assert len(ledger.read(run_folder).trials) == 24 + 5
    assert nas(*words, "--json").document["new"] == 40 - 29


def test_totals_are_in_the_document_and_in_the_ledger(finished: Path) -> None:
    document = json.loads((finished / "search.json").read_text())
    totals = document["totals"]
    assert totals == ledger.read(finished).totals[-1]
    assert (totals["trials"], totals["new"], totals["architectures"], totals["workers"]) == (24, 24, 24, 1)
    assert totals["architectures_per_s"] > 0
    assert 0 < totals["share_saved_by_prefixes"] < 1
    assert totals["share_saved_by_racing"] == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--asynchronous"], "--asynchronous is about workers; say how many with --workers"),
        (["--ray", "auto"], "--ray is about workers"),
        (["--cpus-per-worker", "2"], "--cpus-per-worker is about workers"),
        (["--gpus-per-worker", "1"], "--gpus-per-worker is about workers"),
        (["--workers", "2", "--device", "cpu", "--gpus-per-worker", ".5"], "contradict each other"),
        (["--workers", "2", "--asynchronous", "--objective", "latency_ms"], "latency_ms is measured in this process"),
        (["--workers", "2", "--racing"], "--racing compares the candidates of one process; leave out --workers"),
    ],
)
def test_options_of_workers_that_make_no_sense(words: list[str], hint: str, finished: Path) -> None:
    outcome = nas("search", "--supernet", finished, *words)
    assert hint in one_line(outcome)
    assert outcome.code == 2
