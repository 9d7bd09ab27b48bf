from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nas import ledger
from nas.errors import StudyError
from nas.ledger.journal import repair, valid_size
from tests.searching import plain, study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished")
    with study(directory=directory) as search:
        search.run(6)
    return directory


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def journal(run: Path) -> Path:
    return run / ledger.JOURNAL


def test_a_cut_at_every_byte_of_the_last_two_trials_opens_with_the_whole_ones(run: Path) -> None:
    data = journal(run).read_bytes()
    expected = plain(ledger.read(run).trials)
    lines = data.splitlines(keepends=True)
    ends = [len(data) - len(lines[-2]) - len(lines[-1]), len(data) - len(lines[-1]), len(data)]  # of 4, 5 and 6 trials
    for size in range(len(data), ends[0] - 1, -1):
        os.truncate(journal(run), size)
        whole = max(i for i, end in enumerate(ends) if end <= size)
        assert plain(ledger.read(run).trials) == expected[: 4 + whole], size
        assert journal(run).stat().st_size == size  # reading changes nothing
        assert valid_size(data[:size]) == (ends[whole], None), size
    for size in {*range(ends[0], ends[2], 83), *ends, *(end - 1 for end in ends)}:
        journal(run).write_bytes(data[:size])
        whole = max((4 + i for i, end in enumerate(ends) if end <= size), default=3)
        with study(directory=run, resume=True) as search:
            assert plain(search.trials) == expected[:whole]
        assert len(journal(run).read_bytes().splitlines()) == len(lines) - 6 + whole


def test_a_driver_goes_on_from_a_cut_anywhere_in_the_head(run: Path) -> None:
    data = journal(run).read_bytes()
    expected = plain(ledger.read(run).trials)
    head = len(data) - len(b"".join(data.splitlines(keepends=True)[-6:]))
    for size in {*range(0, head, 101), head - 1, head}:
        journal(run).write_bytes(data[:size])
        assert size == head or ledger.find(run) is None
        with study(directory=run) as search:  # no trial yet: nothing to resume
            assert plain(search.run(6).trials) == expected


def test_blocks_that_never_reached_the_disk_are_cut(run: Path) -> None:
    data = journal(run).read_bytes()
    journal(run).write_bytes(data + bytes(500))
    repair(journal(run))
    assert journal(run).read_bytes() == data


@pytest.mark.parametrize("line", [1, 3, 12, 15])
@pytest.mark.parametrize(
    "damage", [b'{"op_code":4,"worker_id"\n', b"{}\n", b"null\n", b"\xff\xfe\n", b'{"op_code":99}\n']
)
def test_a_corrupt_line_in_the_middle_is_named(run: Path, line: int, damage: bytes) -> None:
    lines = journal(run).read_bytes().splitlines(keepends=True)
    assert len(lines) > line
    lines[line - 1] = damage
    journal(run).write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=rf"journal\.log, line {line}: not a record of a search"):
        study(directory=run, resume=True)
    with pytest.raises(StudyError, match=rf"line {line}: "):
        ledger.read(run)
    assert journal(run).read_bytes() == b"".join(lines)


@pytest.mark.parametrize("content", [b"my own notes", b"one\ntwo\n", b'{"op_code":0,"x\n{"op_code":0,"stu'])
def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    journal(tmp_path).write_bytes(content)
    with pytest.raises(StudyError, match=r"journal\.log, line \d: not a record"):
        study(directory=tmp_path)
    assert journal(tmp_path).read_bytes() == content


@pytest.mark.parametrize("link", [False, True])
def test_a_journal_lock_left_by_a_killed_process_does_not_block(run: Path, link: bool) -> None:
    left = run / "journal.log.lock"
    if link:  # Optuna's other lock; its target is relative to nowhere
        os.symlink("results/journal.log", left)
    else:
        left.touch()
    with study(directory=run, resume=True) as search:
        assert search.run(8).new == 2
    assert not left.exists()
    assert not left.is_symlink()
