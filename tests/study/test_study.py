from __future__ import annotations

import itertools
import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages.journal import JournalFileBackend

from nas import ledger
from nas.errors import Diverged, NasError, StudyError, UnknownName, UsageError, WorkersLost
from nas.evaluation import Metrics
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture
from nas.search_spaces.mobilenet.config import StageSpec
from tests.searching import OBJECTIVES, SPACE, Script, Table, accuracy, plain, pool, study
from tests.spaces import BASE, space

ROOT = Path(__file__).parents[2]
POOL = SPACE.architectures(pool())
# Fewer members than a search may want.
SMALL = space(
    replace(BASE, resolutions=(8,), stages=(StageSpec((8, 12), (1,), (3, 5), (2, 3, 4), 1, "relu", squeeze=False),))
)


def numbers(trials: Sequence[object]) -> list[int]:
    return [POOL.index(trial.arch) for trial in trials]  # type: ignore[attr-defined]


def at(*positions: int) -> Callable[[Architecture], bool]:
    return {POOL[i] for i in positions}.__contains__


def raising(error: BaseException, when: Callable[[Architecture], bool]) -> Callable[[Architecture], None]:
    def disturb(arch: Architecture) -> None:
        if when(arch):
            raise error

    return disturb


class TestTrials:
    @pytest.mark.parametrize("searcher", ["random", "evolution", "nsga2", "coarse_to_fine", "tpe"])
    def test_the_same_seed_gives_the_same_trials(self, searcher: str) -> None:
        runs = []
        for seed in (0, 0, 1):
            with study(searcher=searcher, seed=seed) as search:
                runs.append(plain(search.run(30).trials))
        assert runs[0] == runs[1]
        assert runs[0] != runs[2]
        assert [number for number, *_ in runs[0]] == list(range(30))
        assert len({digest for _, digest, *_ in runs[0]}) == 30

    def test_metrics_are_the_evaluators_and_the_spaces_exact_costs(self) -> None:
        with study(Table(extra={"loss": 0.5})) as search:
            result = search.run(6)
        assert result.new == 6
        assert not result.exhausted
        assert result.wall_s > 0
        for trial in result.trials:
            cost = SPACE.cost(trial.arch)
            expected = {"accuracy": accuracy(trial.arch), "loss": 0.5, "params": cost.params, "macs": cost.macs}
            assert trial.metrics == expected

    def test_the_size_of_an_ask_is_the_studys_and_the_last_batch_is_cut(self) -> None:
        table = Table()
        with study(table, batch=4) as search:
            trials = search.run(10).trials
        assert table.calls == [4, 4, 2]
        assert [trial.batch for trial in trials] == [0] * 4 + [1] * 4 + [2] * 2

    @pytest.mark.parametrize("searcher", ["evolution", "nsga2"])
    def test_going_on_to_more_trials_is_one_longer_run(self, searcher: str, tmp_path: Path) -> None:
        with study(searcher=searcher) as search:
            expected = plain(search.run(40).trials)
        with study(directory=tmp_path, searcher=searcher) as search:
            search.run(7)
            search.run(22)
        with study(directory=tmp_path, searcher=searcher, resume=True) as search:
            assert search.run(22).new == 0
            assert search.run(40).new == 18
            assert plain(search.trials) == expected

    def test_what_the_ledger_holds_costs_no_trial_and_is_told_again(self) -> None:
        script = Script(((0, 1, 2), (2, 3, 3, 0), (1, 2), (4,)))
        table = Table()
        with study(table, searcher=script) as search:
            trials = search.run(5).trials
            told = search._searcher.history.rows
        assert numbers(trials) == [0, 1, 2, 3, 4]
        assert [trial.batch for trial in trials] == [0, 0, 0, 1, 3]
        assert len(table.seen) == 5
        assert SPACE.architectures(told) == [POOL[i] for i in (0, 1, 2, 2, 3, 3, 0, 1, 2, 4)]

    def test_duplicates_are_told_the_same_after_a_resume(self, tmp_path: Path) -> None:
        script = Script(((0, 1, 2), (2, 3, 3, 0), (1, 2), (4,), (5, 6)))
        with study(directory=tmp_path, searcher=script) as search:
            search.run(4)
        with study(table := Table(), tmp_path, searcher=script, resume=True) as search:
            search.run(7)
            told = search._searcher.history
            assert SPACE.architectures(told.rows) == [POOL[i] for i in (0, 1, 2, 2, 3, 3, 0, 1, 2, 4, 5, 6)]
            assert told.batches.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 4]
        assert [POOL.index(arch) for arch in table.seen] == [4, 5, 6]

    def test_a_space_that_is_searched_through_ends_the_run(self, tmp_path: Path) -> None:
        members = math.prod(len(gene.choices) for gene in SMALL.genes)
        with study(directory=tmp_path, space=SMALL, patience=3) as search:
            result = search.run(100)
        assert result.exhausted
        assert len(result.trials) == members == 12
        with study(directory=tmp_path, space=SMALL, patience=3, resume=True) as search:
            again = search.run(100)
            assert (again.exhausted, again.new) == (True, 0)
            assert not search.run(12).exhausted

    def test_patience_counts_consecutive_batches_without_news(self) -> None:
        script = Script(((0, 1), (0,), (), (1,), (2,), (1,), (1,), (1, 0), (0,), (3,)))
        with study(searcher=script, patience=4) as search:
            result = search.run(10)
        assert numbers(result.trials) == [0, 1, 2]
        assert result.exhausted


class TestKilled:
    """A killed run goes on to the trials that it would have had."""

    @pytest.mark.parametrize("k", range(0, 23, 2))
    def test_an_evaluator_that_dies_after_k_architectures(self, k: int, tmp_path: Path) -> None:
        with study(searcher="nsga2", batch=5) as search:
            expected = plain(search.run(22).trials)
        count = itertools.count()
        dying = Table(raising(KeyboardInterrupt(), lambda arch: next(count) == k))
        with study(dying, tmp_path, searcher="nsga2", batch=5) as search, pytest.raises(KeyboardInterrupt):
            search.run(23)
        done = k // 5 * 5  # whole calls
        assert plain(ledger.read(tmp_path).trials) == expected[:done]
        with study(again := Table(), tmp_path, searcher="nsga2", batch=5, resume=True) as search:
            assert plain(search.run(22).trials) == expected
        assert len(again.seen) == 22 - done

    def test_a_cut_anywhere_in_the_journal(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / ledger.JOURNAL
            with study(directory=path.parent, searcher="evolution", batch=5) as search:
                expected = plain(search.run(23).trials)
            whole = path.read_bytes()

            @settings(max_examples=25, deadline=None)
            @given(st.integers(0, len(whole)))
            def check(size: int) -> None:
                path.write_bytes(whole[:size])
                with study(again := Table(), path.parent, searcher="evolution", batch=5, resume=True) as search:
                    kept = len(search.trials)
                    assert plain(search.run(23).trials) == expected
                assert len(again.seen) == 23 - kept
                assert len({arch.digest for arch in again.seen}) == len(again.seen)

            check()

    @pytest.mark.parametrize("k", [0, 1, 5, 8])
    @pytest.mark.parametrize("kept", [False, True])
    def test_an_interrupted_append_in_a_process_that_goes_on(
        self, k: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with study() as search:
            expected = plain(search.run(11).trials)
        count, original = itertools.count(), JournalFileBackend.append_logs

        def append(self: JournalFileBackend, logs: list[dict[str, object]]) -> None:
            if "user_attrs" in logs[0] and next(count) == k:  # a trial
                if kept:
                    original(self, logs)
                else:
                    with (tmp_path / ledger.JOURNAL).open("a") as file:
                        file.write('{"op_code":4,"wor')
                raise KeyboardInterrupt
            original(self, logs)

        monkeypatch.setattr(JournalFileBackend, "append_logs", append)
        with study(table := Table(), tmp_path) as search:
            with pytest.raises(KeyboardInterrupt):
                search.run(11)
            assert plain(search.run(11).trials) == expected
        assert plain(ledger.read(tmp_path).trials) == expected
        assert len(table.seen) == 11 + 4 - (k % 4 + kept) - (1 if k // 4 == 2 else 0)

    @pytest.mark.parametrize("lines", [3, 14])
    def test_sigkill(self, lines: int, tmp_path: Path) -> None:
        with study(searcher="nsga2", batch=3) as search:
            expected = plain(search.run(40).trials)
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as driver:
            assert driver.stdout is not None
            reported = [driver.stdout.readline() for _ in range(lines)]
            driver.send_signal(signal.SIGKILL)
        kept = ledger.read(tmp_path).trials
        assert plain(kept) == expected[: len(kept)]
        assert int(reported[-1]) <= len(kept)  # every trial that was reported is there
        with study(again := Table(), tmp_path, searcher="nsga2", batch=3, resume=True) as search:
            assert plain(search.run(40).trials) == expected
        assert not {arch.digest for arch in again.seen} & {trial.arch.digest for trial in kept}

    def test_a_searcher_that_changed_its_mind_is_noticed(self, tmp_path: Path) -> None:
        with study(directory=tmp_path, searcher=Script(((0, 1), (2, 3)))) as search:
            search.run(3)
        path = tmp_path / ledger.JOURNAL
        path.write_text(path.read_text().replace(POOL[3].digest, POOL[4].digest))
        with study(directory=tmp_path, searcher=Script(((0, 1), (2, 3))), resume=True) as search:
            with pytest.raises(StudyError, match="asks for other architectures than the ledger has for batch 1"):
                search.run(4)
            assert len(search.trials) == 3

    @pytest.mark.parametrize("first", [1, 7, 10, 13])
    def test_what_depends_on_the_call_is_called_in_full_again(self, first: int, tmp_path: Path) -> None:
        with study(Race(), searcher="nsga2", batch=5, together=True) as search:
            expected = plain(search.run(22).trials)
        with study(Race(), tmp_path, searcher="nsga2", batch=5, together=True) as search:
            search.run(first)
        with study(Race(), tmp_path, searcher="nsga2", batch=5, together=True, resume=True) as search:
            assert plain(search.run(22).trials) == expected
        with pytest.raises(StudyError, match="together"):
            study(Race(), tmp_path, searcher="nsga2", batch=5, resume=True)


DRIVER = """
import sys
from pathlib import Path
from tests.searching import study
with study(directory=Path(sys.argv[1]), searcher="nsga2", batch=3) as search:
    search.run(40, progress=lambda progress: print(progress.done, flush=True))
"""


class Race(Table):
    """An evaluator whose answer depends on who else is in the call."""

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        rows = super().evaluate(archs)
        lowest = min(row["accuracy"] for row in rows)
        return [{"accuracy": row["accuracy"] - lowest} for row in rows]


class TestFailures:
    def test_an_architecture_that_fails_alone_is_one_failed_trial(self, tmp_path: Path) -> None:
        script = Script(((0, 1, 2), (3, 4, 5)))
        table = Table(raising(Diverged("the loss is nan"), at(1, 3)))
        with study(table, tmp_path, searcher=script) as search:
            trials = search.run(6).trials
        assert [bool(trial.metrics) for trial in trials] == [True, False, True, False, True, True]
        record = ledger.read(tmp_path)
        assert record.trials == list(trials)
        assert [entry.error for entry in record.entries] == [
            None,
            "the loss is nan",
            None,
            "the loss is nan",
            None,
            None,
        ]
        with study(Table(), tmp_path, searcher=script, resume=True) as search:
            assert search.run(6).new == 0

    @pytest.mark.parametrize("trials", [4, 5])
    def test_lost_workers_speak_against_no_architecture(self, trials: int, tmp_path: Path) -> None:
        with study(directory=tmp_path) as search:
            kept = plain(search.run(3).trials)
        lost = Table(raising(WorkersLost("all workers die while they start"), lambda arch: True))
        with study(lost, tmp_path, resume=True) as search, pytest.raises(WorkersLost):
            search.run(trials)
        assert plain(ledger.read(tmp_path).trials) == kept

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_metric_that_is_not_finite_fails_its_trial(self, value: float, tmp_path: Path) -> None:
        with study(Table(extra={"loss": value}), tmp_path) as search:
            trials = search.run(3).trials
            assert search.front() == []
            assert search.best is None
            assert search.knee is None
        assert all(trial.metrics == {} for trial in trials)
        assert [entry.error for entry in ledger.read(tmp_path).entries] == [f"loss is {value}"] * 3

    def test_a_set_up_that_never_worked_records_nothing(self, tmp_path: Path) -> None:
        table = Table(raising(NasError("no weights"), lambda arch: True))
        with study(table, tmp_path, batch=1) as search, pytest.raises(NasError, match="no weights"):
            search.run(3)
        assert ledger.read(tmp_path).trials == []

    def test_a_set_up_that_breaks_later_keeps_the_trials_before(self, tmp_path: Path) -> None:
        count = itertools.count()
        table = Table(raising(NasError("gone"), lambda arch: next(count) >= 4))
        with study(table, tmp_path) as search, pytest.raises(NasError, match="gone"):
            search.run(12)
        assert len(ledger.read(tmp_path).trials) == 4

    def test_a_lone_failure_after_successes_is_a_failed_trial(self) -> None:
        script = Script(((0, 1), (2,), (3, 4)))
        with study(Table(raising(NasError("x"), at(2))), searcher=script) as search:
            assert [bool(t.metrics) for t in search.run(5).trials] == [True, True, False, True, True]

    @pytest.mark.parametrize("cut", range(1, 5))
    def test_failures_are_judged_the_same_after_a_resume(self, cut: int, tmp_path: Path) -> None:
        script = Script(((0, 1, 2, 3), (4, 5)))

        def table() -> Table:
            return Table(raising(NasError("x"), at(1, 2, 3)))

        with study(table(), tmp_path, searcher=script) as search:
            expected = plain(search.run(6).trials)
        path = tmp_path / ledger.JOURNAL
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[: cut - 6]))
        with study(table(), tmp_path, searcher=script, resume=True) as search:
            assert len(search.trials) == cut
            assert plain(search.run(6).trials) == expected

    @pytest.mark.parametrize("error", [UsageError("wrong"), RuntimeError("bug")])
    def test_wrong_use_and_bugs_end_the_run_at_once(self, error: Exception) -> None:
        with study(table := Table(raising(error, lambda arch: True))) as search:
            with pytest.raises(type(error), match=str(error)):
                search.run(8)
            assert search.trials == []
        assert table.calls == [4]

    @pytest.mark.parametrize(
        "goal",
        [
            Objective("latency_ms", "min"),
            Constraint("latency_ms", "<=", 5.0),
            Objective.parse("max:my_score"),
            Constraint.parse("my_score>=3"),
        ],
    )
    def test_a_goal_that_the_evaluator_does_not_measure(self, goal: Objective | Constraint) -> None:
        objectives = [*OBJECTIVES, *([goal] if isinstance(goal, Objective) else [])]
        constraints = [goal] if isinstance(goal, Constraint) else []
        with study(objectives=objectives, constraints=constraints) as search:
            with pytest.raises(UnknownName, match=f"unknown metric of this evaluator '{goal.metric}'"):
                search.run(4)
            assert search.trials == []

    def test_a_metric_of_ones_own_is_searched(self) -> None:
        with study(Table(extra={"my_score": 2.0}), objectives=[Objective.parse("max:my_score")]) as search:
            assert all(trial.metrics["my_score"] == 2.0 for trial in search.run(4).trials)

    def test_an_evaluator_may_not_contradict_the_spaces_costs(self) -> None:
        with study(Table(extra={"macs": 1.0})) as search, pytest.raises(UsageError, match="the evaluator says macs 1,"):
            search.run(4)

    def test_an_evaluator_must_answer_for_each_architecture(self) -> None:
        class Short(Table):
            def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
                return super().evaluate(archs)[1:]

        with study(Short()) as search, pytest.raises(UsageError, match="gave 3 results for 4 architectures"):
            search.run(4)

    def test_the_lock_is_released_after_an_error(self, tmp_path: Path) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            study(Table(raising(KeyboardInterrupt(), lambda arch: True)), tmp_path) as search,
        ):
            search.run(1)
        study(directory=tmp_path).close()


class TestSettings:
    def test_wrong_settings(self) -> None:
        with pytest.raises(UsageError, match="batch must be at least 1, got 0"):
            study(batch=0)
        with pytest.raises(UsageError, match="patience must be at least 1, got 0"):
            study(patience=0)
        with pytest.raises(UnknownName, match=r"unknown provenance 'wieghts'. Did you mean 'weights'"):
            study(provenance={"wieghts": "x"})
        with study() as search, pytest.raises(UsageError, match="trials must be at least 1, got 0"):
            search.run(0)

    def test_a_searcher_of_another_search_is_refused(self) -> None:
        from nas import searchers
        from nas.study import Study

        bound = Constraint("macs", "<=", 9e6)
        for what, made in (
            ("space", searchers.get("random")(SMALL, OBJECTIVES, seed=0)),
            ("objectives", searchers.get("random")(SPACE, OBJECTIVES[:1], seed=0)),
            ("constraints", searchers.get("random")(SPACE, OBJECTIVES, [bound], seed=0)),
            ("seed", searchers.get("random")(SPACE, OBJECTIVES, seed=1)),
        ):
            with pytest.raises(UsageError, match=f"another {what} than the study"):
                Study(SPACE, made, Table(), OBJECTIVES, seed=0)
        used = searchers.get("random")(SPACE, OBJECTIVES, seed=0)
        used.tell([])
        with pytest.raises(UsageError, match="told trials already"):
            Study(SPACE, used, Table(), OBJECTIVES, seed=0)

    def test_a_closed_study_is_read_only(self, tmp_path: Path) -> None:
        with study(directory=tmp_path) as search:
            search.run(2)
        assert len(search.trials) == 2
        assert search.best in search.front()
        with pytest.raises(StudyError, match="was closed; open the study again"):
            search.run(4)

    def test_nothing_of_it_loads_torch(self) -> None:
        code = (
            "import sys\nfrom tests.searching import study\n"
            "with study(searcher='nsga2') as search: search.run(9)\nassert search.knee and 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

    def test_results_of_the_study(self) -> None:
        constraints = [Constraint("accuracy", "<=", 0.9)]
        with study(constraints=constraints, searcher="nsga2") as search:
            search.run(60)
            front = search.front()
            feasible = [t for t in search.trials if t.metrics["accuracy"] <= 0.9]
            assert search.best == max(feasible, key=lambda t: t.metrics["accuracy"]) == front[-1]
            assert search.knee in front
            assert [t.metrics["macs"] for t in front] == sorted({t.metrics["macs"] for t in front})
            assert search.front(OBJECTIVES[:1]) == [search.best]
