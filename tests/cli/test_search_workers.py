from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas import ledger
from nas.cluster import supernet_pool as ray_supernet
from tests.cli.calling import nas, one_line
from tests.cli.test_search_faults import ROOT, front, linux, recorded, started, wait_for_trials
from tests.searching import plain

pytest.importorskip("ray", reason="workers need Ray")
WORDS = ("--batch", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for the tests of this module that run in this process."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        yield
        ray.shutdown()


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_trials_of_one_process(workers: int, finished: Path, tmp_path: Path) -> None:
    outcome = nas(
        "search", "--supernet", finished, *WORDS, "--trials", 24, "--workers", workers, "--out", tmp_path, "--json"
    )
    assert outcome.code == 0, outcome.err
    assert plain(ledger.read(tmp_path).trials) == plain(ledger.read(finished).trials)
    totals = outcome.document["totals"]
    assert (totals["workers"], totals["architectures"]) == (workers, 24)
    assert totals == ledger.read(tmp_path).totals[0]


@pytest.mark.usefixtures("cluster")
def test_asynchronous_workers_and_going_on(finished: Path, tmp_path: Path) -> None:
    words = ("search", "--supernet", finished, *WORDS, "--workers", 2, "--asynchronous", "--out", tmp_path, "--json")
    first = nas(*words, "--trials", 16)
    assert first.code == 0, first.err
    kept = plain(ledger.read(tmp_path).trials)
    assert len(kept) == 16
    second = nas(*words, "--trials", 30, "--resume")
    assert (second.code, second.document["new"]) == (0, 14)
    digests = recorded(tmp_path)
    assert len(set(digests)) == len(digests) == 30
    assert plain(ledger.read(tmp_path).trials)[:16] == kept
    known = {trial.arch.digest: trial.metrics for trial in ledger.read(finished).trials}
    alike = [t for t in ledger.read(tmp_path).trials if t.arch.digest in known]
    assert alike
    assert all(t.metrics == known[t.arch.digest] for t in alike)


@pytest.mark.usefixtures("cluster")
def test_latency_is_measured_beside_workers(finished: Path, tmp_path: Path) -> None:
    outcome = nas(
        "search", "--supernet", finished, *WORDS, "--objective", "accuracy", "--objective", "min:latency_ms",
        "--trials", 8, "--workers", 2, "--out", tmp_path, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert all(member["metrics"]["latency_ms"] > 0 for member in outcome.document["front"])


def left_over(mark: str) -> list[str]:
    """The processes that inherited this mark and are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_until_gone(mark: str, but: str = "\n") -> None:
    """Workers follow their machine's Ray, which follows the driver.

    Args:
        mark: Of the processes.
        but: Processes with this in their command line may stay.
    """
    pause = threading.Event()
    for _ in range(300):
        if not (still := [line for line in left_over(mark) if but not in line]):
            return
        pause.wait(0.1)
    raise AssertionError(still)


@linux
def test_ctrl_c_ends_all_workers_without_noise(finished: Path, tmp_path: Path) -> None:
    mark, out = uuid.uuid4().hex, tmp_path / "run"
    words = ["search", "--supernet", finished, *WORDS, "--trials", 5000, "--workers", 2, "--out", out]
    with started(words, NAS_TEST_MARK=mark) as driver:
        wait_for_trials(out, driver, 8)
        assert len(left_over(mark)) > 2
        os.killpg(driver.pid, signal.SIGINT)
        printed, said = driver.communicate()
    assert driver.returncode == 130, said
    assert printed == ""
    *bar, last = said.splitlines()
    assert "interrupted" in last
    assert "--resume" in last
    known = ("searching", "saved", "starting 2 workers")
    assert all(not line.strip() or any(word in line for word in known) for line in bar), said
    wait_until_gone(mark)
    assert ledger.read(out).totals[0]["trials"] == len(ledger.read(out).trials)


@linux
def test_a_driver_that_is_killed_takes_its_workers_along_and_can_go_on(finished: Path, tmp_path: Path) -> None:
    mark, out = uuid.uuid4().hex, tmp_path / "run"
    words = ["search", "--supernet", finished, *WORDS, "--trials", 24, "--workers", 2, "--out", out]
    with started(words, NAS_TEST_MARK=mark) as driver:
        wait_for_trials(out, driver, 4)
        driver.kill()
        driver.communicate()
    wait_until_gone(mark, but="Agent")  # Ray's own helpers take a minute to notice
    kept = recorded(out)
    assert 4 <= len(kept) <= 24
    with started([*words, "--resume"], NAS_TEST_MARK=mark) as again:
        _, said = again.communicate()
    assert again.returncode == 0, said
    assert recorded(out)[: len(kept)] == kept
    assert plain(ledger.read(out).trials) == plain(ledger.read(finished).trials)
    assert front(out) == front(finished)


def test_a_wrong_address_is_one_line(finished: Path, tmp_path: Path) -> None:
    words = ["search", "--supernet", finished, *WORDS, "--workers", 2, "--ray", "127.0.0.1:9", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, "-m", "nas.cli", *map(str, words)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "127.0.0.1:9" in line


@linux
def test_json_is_alone_on_standard_output_when_ray_starts(finished: Path, tmp_path: Path) -> None:
    words = ["search", "--supernet", finished, *WORDS, "--trials", 8, "--workers", 2, "--out", tmp_path, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "nas.cli", *map(str, words)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == 8
    assert "Traceback" not in done.stderr


@linux
def test_termination_ends_like_ctrl_c(finished: Path, tmp_path: Path) -> None:
    mark, out = uuid.uuid4().hex, tmp_path / "run"
    words = ["search", "--supernet", finished, *WORDS, "--trials", 5000, "--workers", 2, "--out", out]
    with started(words, NAS_TEST_MARK=mark) as driver:
        wait_for_trials(out, driver, 8)
        driver.terminate()
        printed, said = driver.communicate()
    assert driver.returncode == 143, said
    assert printed == ""
    assert "interrupted" in said.splitlines()[-1]
    assert "SIGTERM" not in said
    wait_until_gone(mark)


def test_more_workers_than_the_machine_has_cores_are_refused(finished: Path, tmp_path: Path) -> None:
    outcome = nas("search", "--supernet", finished, "--workers", 4096, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert "4096 workers of 1 CPU each do not fit this machine" in one_line(outcome)
    assert not (tmp_path / "run").exists()


def test_what_needs_no_work_starts_no_worker(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray_supernet, "supernet_pool", start)
    words = ("search", "--supernet", finished, *WORDS, "--trials", 24)
    assert nas(*words, "--out", tmp_path).code == 0
    again = nas(*words, "--out", tmp_path, "--workers", 1)
    assert again.code == 1
    assert "already holds 24 trials" in one_line(again)
    complete = nas(*words, "--out", tmp_path, "--workers", 1, "--resume", "--json")
    assert (complete.code, complete.document["new"]) == (0, 0)
