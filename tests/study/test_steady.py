from __future__ import annotations

import itertools
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import ledger
from nas.errors import NasError, StudyError, UnknownName, UsageError
from nas.evaluation import Outcome, StreamingEvaluator
from nas.objectives import Objective
from nas.search_spaces import Architecture
from nas.search_spaces.mobilenet.config import StageSpec
from tests.searching import OBJECTIVES, SPACE, Pool, Script, Table, plain, pool, study
from tests.spaces import BASE, space

MEMBERS = SPACE.architectures(pool())
SMALL = space(
    replace(BASE, resolutions=(8,), stages=(StageSpec((8, 12), (1,), (3, 5), (2, 3, 4), 1, "relu", squeeze=False),))
)


@pytest.mark.parametrize("searcher", ["random", "evolution", "nsga2", "coarse_to_fine", "tpe"])
def test_every_slot_is_busy_and_nothing_is_evaluated_twice(searcher: str) -> None:
    workers = Pool(slots=3)
    with study(workers, searcher=searcher, batch=12, asynchronous=True) as search:
        result = search.run(50)
    assert (result.new, result.exhausted) == (50, False)
    assert len(workers.seen) == len({arch.digest for arch in workers.seen}) == 50
    assert [trial.arch for trial in result.trials] == workers.seen
    assert workers.loads == [3] * (len(workers.loads) - 3) + [3, 2, 1]
    assert not workers.under_way


def test_chunks_are_batches_and_each_ask_follows_a_tell() -> None:
    workers = Pool(slots=4)
    with study(workers, searcher="nsga2", batch=8, asynchronous=True) as search:
        trials = search.run(20).trials
        history = search._searcher.history
    assert workers.calls == [2] * 10
    assert [trial.batch for trial in trials] == [i // 2 for i in range(20)]
    assert history.batches.tolist() == [i // 2 for i in range(20)]
    assert SPACE.architectures(history.rows) == [trial.arch for trial in trials]


@pytest.mark.parametrize("searcher", ["random", "evolution", "nsga2", "tpe"])
def test_one_slot_is_the_search_in_asked_order(searcher: str) -> None:
    with study(searcher=searcher) as search:
        expected = plain(search.run(24).trials)
    with study(Pool(slots=1), searcher=searcher, asynchronous=True) as search:
        assert plain(search.run(24).trials) == expected


def test_more_slots_than_a_batch_get_one_each() -> None:
    workers = Pool(slots=9)
    with study(workers, batch=4, asynchronous=True) as search:
        search.run(20)
    assert set(workers.calls) == {1}
    assert workers.loads[0] == 9


def test_what_is_under_way_or_recorded_is_not_submitted_again() -> None:
    script = Script(((0, 1, 2, 3), (1, 3, 0, 2, 4), (4, 3, 0, 5), (5, 4, 6), (0, 7), (7, 1, 8)))
    workers = Pool(slots=4, seed=1)
    with study(workers, searcher=script, asynchronous=True) as search:
        trials = search.run(9).trials
    assert workers.loads[:4] == [4] * 4
    assert sorted(MEMBERS.index(trial.arch) for trial in trials) == list(range(9))
    assert len(workers.seen) == 9


def test_slots_that_come_and_go() -> None:
    class Shrinking(Pool):
        def collect(self) -> list[tuple[Architecture, Outcome]]:
            self.slots = (2, 0, 5)[len(self.loads) % 3]
            return super().collect()

    with study(workers := Shrinking(slots=4), batch=8, asynchronous=True) as search:
        assert len(search.run(40).trials) == 40
    assert len({arch.digest for arch in workers.seen}) == 40


def test_a_space_that_is_searched_through_ends_the_run(tmp_path: Path) -> None:
    members = math.prod(len(gene.choices) for gene in SMALL.genes)
    with study(Pool(), tmp_path, space=SMALL, patience=3, asynchronous=True) as search:
        result = search.run(100)
    assert (result.exhausted, len(result.trials)) == (True, members)
    with study(Pool(), tmp_path, space=SMALL, patience=3, asynchronous=True, resume=True) as search:
        assert search.run(100).new == 0


def test_failures_are_failed_trials_and_the_search_goes_on() -> None:
    lost = {MEMBERS[1], MEMBERS[4]}
    script = Script(((0, 1, 2), (3,), (4,), (5,)))
    with study(Pool(slots=3, broken=lost.__contains__), searcher=script, batch=3, asynchronous=True) as search:
        trials = search.run(6).trials
    assert {trial.arch for trial in trials if not trial.metrics} == lost
    assert len(trials) == 6


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(0, 5), st.integers(1, 5))
def test_killed_runs_go_on_without_loss(kills: list[int], seed: int, slots: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept: list[tuple[int, str, dict[str, float], int]] = []
        for k in kills:
            count = itertools.count()

            def disturb(arch: Architecture, count: itertools.count[int] = count, k: int = k) -> None:
                if next(count) == k:
                    raise KeyboardInterrupt

            workers = Pool(disturb, slots=slots, seed=seed)
            with study(workers, Path(folder), searcher="evolution", batch=6, asynchronous=True, resume=True) as search:
                try:
                    search.run(30)
                except KeyboardInterrupt:
                    assert len(search.trials) <= len(kept) + k
            now = plain(ledger.read(Path(folder)).trials)
            assert now[: len(kept)] == kept
            kept = now
        with study(
            last := Pool(slots=slots), Path(folder), searcher="evolution", batch=6, asynchronous=True, resume=True
        ) as search:
            trials = plain(search.run(30).trials)
            told = search._searcher.history
        assert trials[: len(kept)] == kept
        assert len({digest for _, digest, *_ in trials}) == len(trials) == 30
        assert len(last.seen) == 30 - len(kept)
        assert [arch.digest for arch in SPACE.architectures(told.rows)] == [digest for _, digest, *_ in trials]
        assert told.batches.tolist() == [batch for *_, batch in trials]
        assert np.all(np.diff(told.batches) >= 0)


def test_an_interrupted_study_is_not_run_again(tmp_path: Path) -> None:
    count = itertools.count()

    def disturb(arch: Architecture) -> None:
        if next(count) == 5:
            raise KeyboardInterrupt

    with study(Pool(disturb), tmp_path, asynchronous=True) as search:
        with pytest.raises(KeyboardInterrupt):
            search.run(12)
        with pytest.raises(UsageError, match="of an interrupted run are under way; go on with a new study"):
            search.run(12)
    assert len(ledger.read(tmp_path).trials) == 5


def test_an_error_of_the_whole_pool_ends_the_run_and_keeps_the_trials(tmp_path: Path) -> None:
    class Lost(Pool):
        def collect(self) -> list[tuple[Architecture, Outcome]]:
            if len(self.loads) == 4:
                raise NasError("no worker is left")
            return super().collect()

    with study(Lost(), tmp_path, batch=3, asynchronous=True) as search, pytest.raises(NasError, match="no worker"):
        search.run(12)
    assert len(ledger.read(tmp_path).trials) == 4


def test_an_evaluator_that_takes_one_batch_at_a_time_is_refused() -> None:
    assert isinstance(Pool(), StreamingEvaluator)
    with pytest.raises(UsageError, match="Table takes one batch at a time and cannot work asynchronously"):
        study(Table(), asynchronous=True)


def test_results_of_something_else_are_refused() -> None:
    class Confused(Pool):
        def collect(self) -> list[tuple[Architecture, Outcome]]:
            return [(MEMBERS[150], {"accuracy": 1.0})] if len(self.loads) == 2 else super().collect()

    with study(Confused(), asynchronous=True) as search, pytest.raises(UsageError, match="not under way"):
        search.run(9)


def test_the_order_of_telling_is_part_of_a_search(tmp_path: Path) -> None:
    with study(Pool(), tmp_path, asynchronous=True) as search:
        search.run(4)
    with pytest.raises(StudyError, match="belongs to another search: asynchronous is True there and False here"):
        study(Pool(), tmp_path, resume=True)


def test_goals_that_are_not_measured() -> None:
    goals = [*OBJECTIVES, Objective("latency_ms", "min")]
    with study(Pool(), objectives=goals, asynchronous=True) as search:
        with pytest.raises(UnknownName, match="latency_ms"):
            search.run(3)
        assert search.trials == []
