from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from nas import ledger
from nas.errors import StudyError
from nas.evaluation import Totals
from nas.objectives import Constraint
from nas.search_spaces import Architecture
from nas.study import Progress
from nas.study.progress import Counters
from tests.searching import Pool, Table, study


def test_progress_counts_and_estimates(tmp_path: Path) -> None:
    with study(directory=tmp_path) as search:
        search.run(5)
    seen: list[Progress] = []
    with study(directory=tmp_path, resume=True) as search:
        trials = search.run(10, progress=seen.append).trials
    assert [p.done for p in seen] == [5, 8, 10]
    assert all(p.total == 10 for p in seen)
    for p in seen:
        assert p.best == max(t.metrics["accuracy"] for t in trials[: p.done])
    assert (seen[0].trials_per_s, seen[0].seconds_left) == (0.0, None)
    assert seen[1].trials_per_s == pytest.approx(3 / seen[1].seconds)
    assert seen[1].seconds_left == pytest.approx(2 / seen[1].trials_per_s)
    assert seen[2].seconds_left == 0.0
    assert seen[0].seconds <= seen[1].seconds <= seen[2].seconds


def test_progress_without_anything_feasible_has_no_best() -> None:
    seen: list[Progress] = []
    with study(constraints=[Constraint("accuracy", ">=", 2.0)]) as search:
        search.run(4, progress=seen.append)
    assert [p.best for p in seen] == [None, None]


@dataclass
class Counting:
    """Totals of what a table was asked: a second and 10 multiply-adds each, 4 shared, 1 raced."""

    table: Table

    def totals(self) -> Totals:
        n = len(self.table.seen)
        return Totals(n, float(n), 10.0 * n, 4.0 * n, 1.0 * n)

    def counters(self) -> Counters:
        return Counters(self.totals, lambda: 3)


def test_totals_are_of_one_run_and_end_in_the_ledger(tmp_path: Path) -> None:
    seen: list[Progress] = []
    table = Table()
    table.evaluate([])
    for trials, resume in ((5, False), (12, True)):
        with study(table, tmp_path, resume=resume, counters=Counting(table).counters()) as search:
            result = search.run(trials, progress=seen.append)
    assert [(p.done, p.workers, None if p.totals is None else p.totals.architectures) for p in seen] == [
        (0, 3, 0), (4, 3, 4), (5, 3, 5), (5, 3, 0), (8, 3, 3), (12, 3, 7),
    ]  # fmt: skip
    first, second = ledger.read(tmp_path).totals
    assert second == result.totals
    shares = {"architectures_per_s": 1.0, "share_saved_by_prefixes": 0.4, "share_saved_by_racing": 0.1, "workers": 3}
    for run, finished, new in ((first, 5, 5), (second, 12, 7)):
        assert run.pop("run_s") > 0
        assert run == {"trials": finished, "new": new, "architectures": new, "evaluation_s": float(new), **shares}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_totals_of_an_interrupted_run_are_kept(asynchronous: bool, tmp_path: Path) -> None:
    def disturb(arch: Architecture) -> None:
        if len(table.seen) == 9:
            raise KeyboardInterrupt

    table = Pool(disturb)
    counters = Counting(table).counters()
    with (
        study(table, tmp_path, asynchronous=asynchronous, counters=counters) as search,
        pytest.raises(KeyboardInterrupt),
    ):
        search.run(20)
    (run,) = ledger.read(tmp_path).totals
    assert (run["trials"], run["architectures"]) == (9 if asynchronous else 8, 9)


def test_without_counters_nothing_is_counted(tmp_path: Path) -> None:
    with study(directory=tmp_path) as search:
        assert search.run(4).totals is None
    assert ledger.read(tmp_path).totals == []


def test_totals_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()

    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    with study(table, tmp_path, counters=Counting(table).counters()) as search:
        monkeypatch.setattr(type(search._ledger._study), "set_user_attr", full)
        with pytest.raises(StudyError, match=r"cannot write to .*No space left"):
            search.run(4)
    assert len(ledger.read(tmp_path).trials) == 4
