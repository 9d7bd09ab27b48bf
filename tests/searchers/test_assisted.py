from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nas.errors import UsageError
from nas.search_spaces import Architecture
from nas.searchers import Assisted, Evolution, Random, Searcher, Strategy
from nas.testing import SearcherContract
from nas.testing.searcher import drive, measure
from tests.searching import OBJECTIVES, SPACE


def helpful(archs: Sequence[Architecture]) -> list[float]:
    return [metrics["accuracy"] for metrics in measure(SPACE, archs)]


def misleading(archs: Sequence[Architecture]) -> list[float]:
    return [-value for value in helpful(archs)]


def anything(archs: Sequence[Architecture]) -> list[float]:
    """For every space."""
    return [float(int(arch.digest[:8], 16)) for arch in archs]


class TestAssisted(SearcherContract):
    strategy = Assisted(Evolution(population=8, tournament=3), anything, candidates=4)


def best(seed: int, strategy: Strategy) -> float:
    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=seed, strategy=strategy)
    drive(searcher, 10, 5)
    return float(-searcher.history.values.min())


@pytest.mark.parametrize("inner", [Random(), Evolution(20, 5)])
def test_a_good_score_helps_and_a_bad_one_hurts(inner: Strategy) -> None:
    sides = (Assisted(inner, helpful), inner, Assisted(inner, misleading))
    found = np.array([[best(seed, used) for used in sides] for seed in range(5)])
    assert (found[:, 0] >= found[:, 1]).all()
    assert found[:, 0].mean() > found[:, 1].mean()
    assert (found[:, 1] > found[:, 2]).all()


def test_the_best_of_the_proposals_is_asked() -> None:
    seen: list[list[Architecture]] = []

    def watching(archs: Sequence[Architecture]) -> list[float]:
        seen.append(list(archs))
        return [
            float("nan") if i == 0 else float("inf") if i == 1 else 1.0 if i == 2 else 0.5 for i in range(len(archs))
        ]

    asked = Searcher(SPACE, OBJECTIVES, seed=0, strategy=Assisted(Random(), watching, candidates=6)).ask(3)
    assert asked == [proposals[2] for proposals in seen]
    assert [len(proposals) for proposals in seen] == [6, 6, 6]


def test_the_first_are_left_alone() -> None:
    calls: list[int] = []

    def counting(archs: Sequence[Architecture]) -> list[float]:
        calls.append(len(archs))
        return helpful(archs)

    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=Assisted(Random(), counting, candidates=3, alone=8))
    drive(searcher, 2, 5)
    assert calls == [3, 3]
    alone = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=Random())
    assert np.array_equal(searcher.history.rows[:5], SPACE.indices(alone.ask(5)))


def test_a_brood_has_one_parent() -> None:  # two children have it in common
    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=Evolution(population=12, tournament=1, offspring=10))
    drive(searcher, 1, 12)
    history = searcher.history

    def changed(row: np.ndarray, parent: np.ndarray) -> int:
        both = (row >= 0) & (parent >= 0)
        return int(((row != parent) & both).sum())

    drawn = [searcher.strategy.propose(history, np.random.default_rng(seed), 2) for seed in range(10)]
    common = [any(all(changed(row, parent) == 1 for row in rows) for parent in history.rows) for rows in drawn]
    assert sum(common) >= 7  # where one of them is known already, another parent has the second


@pytest.mark.parametrize("settings", [{"candidates": 0}, {"alone": -1}])
def test_wrong_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(settings))} must be"):
        Assisted(Random(), helpful, **settings)
