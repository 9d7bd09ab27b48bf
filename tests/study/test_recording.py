from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend

from nas import ledger
from nas.errors import StudyError
from nas.study import recording
from tests.searching import Table, plain, study

ROOT = Path(__file__).parents[2]


def test_a_ctrl_c_waits_until_the_whole_batch_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, count = JournalFileBackend.append_logs, iter(range(100))

    def append(self: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        if "user_attrs" in logs[0] and next(count) == 5:  # the second trial of the second batch
            signal.raise_signal(signal.SIGINT)
        original(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    with study(table := Table(), tmp_path) as search:
        with pytest.raises(KeyboardInterrupt):
            search.run(12)
        assert len(search.trials) == len(ledger.read(tmp_path).trials) == 8
        assert len(search.run(12).trials) == len(table.seen) == 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ctrl_c_while_nothing_is_written_comes_at_once() -> None:
    def disturb(arch: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with study(table := Table(disturb)) as search, pytest.raises(KeyboardInterrupt):
        search.run(4)
    assert table.seen == []


def test_other_threads_leave_signals_alone() -> None:
    done = list[int]()

    def work() -> None:
        with study() as search:
            done.append(len(search.run(4).trials))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [4]


def test_without_a_handler_of_python_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    original = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with recording._uninterrupted():
        assert original(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("k", [0, 3, 6])
def test_a_full_disk_leaves_a_ledger_to_go_on_with(k: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with study(searcher="nsga2") as search:
        expected = plain(search.run(12).trials)
    original, count = JournalFileBackend.append_logs, iter(range(100))

    def append(self: JournalFileBackend, logs: list[dict[str, object]]) -> None:
        if "user_attrs" in logs[0] and next(count) == k:
            with (tmp_path / ledger.JOURNAL).open("a") as file:
                file.write('{"op_code":4,"worker_id":"x","use')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", append)
    with study(directory=tmp_path, searcher="nsga2") as search:
        with pytest.raises(StudyError, match=r"cannot write to .*No space left on device; repair that") as caught:
            search.run(12)
        assert "\n" not in str(caught.value)
    assert plain(ledger.read(tmp_path).trials) == expected[:k]
    with study(directory=tmp_path, searcher="nsga2", resume=True) as search:
        assert plain(search.run(12).trials) == expected


FULL = """
import resource, sys
from pathlib import Path
from nas.errors import StudyError
from tests.searching import study
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))
try:
    with study(directory=Path(sys.argv[1]), searcher="nsga2") as search:
        search.run(60)
except StudyError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size is Linux's")
def test_a_write_that_the_system_cuts_short(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert len(done.stdout.splitlines()) == 1, done.stderr
    assert "cannot write to" in done.stdout
    assert not (tmp_path / ledger.JOURNAL).read_bytes().endswith(b"\n")  # an incomplete line
    kept = plain(ledger.read(tmp_path).trials)
    with study(searcher="nsga2") as search:
        expected = plain(search.run(60).trials)
    assert 0 < len(kept) < 60
    assert kept == expected[: len(kept)]
    with study(directory=tmp_path, searcher="nsga2", resume=True) as search:
        assert plain(search.run(60).trials) == expected
