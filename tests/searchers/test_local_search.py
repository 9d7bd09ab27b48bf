from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UsageError
from nas.objectives import Constraint
from nas.searchers import LocalSearch, Random, Searcher
from nas.testing import SearcherContract
from nas.testing.searcher import drive
from tests.searching import OBJECTIVES, SPACE


class TestLocalSearch(SearcherContract):
    strategy = LocalSearch(starts=6)


def changed(a: np.ndarray, b: np.ndarray) -> int:
    both = (a >= 0) & (b >= 0)
    return int(((a != b) & both).sum())


def test_it_asks_neighbours_of_the_best() -> None:
    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=LocalSearch(starts=5))
    drive(searcher, 1, 5)
    for _ in range(20):
        history = searcher.history
        best = history.rows[history.values[:, 0].argmin()]
        (row,) = SPACE.indices(searcher.ask(1))
        assert changed(row, best) <= 1
        drive(searcher, 1, 1)


def test_where_all_neighbours_are_known_the_next_best_goes_on() -> None:
    """With every neighbour worse than the start, the search must not stop nor repeat itself."""
    searcher = Searcher(SPACE, OBJECTIVES[1:], seed=0, strategy=LocalSearch(starts=1))  # fewest macs
    told = drive(searcher, 150, 1)
    macs = [batch[0].metrics["macs"] for batch in told]
    assert min(macs) == SPACE.cost(SPACE.smallest()).macs
    assert macs.index(min(macs)) < 149
    assert len({batch[0].arch for batch in told}) == 150


def test_it_beats_random_search() -> None:
    def best(seed: int, strategy: LocalSearch | Random) -> float:
        searcher = Searcher(SPACE, OBJECTIVES[:1], seed=seed, strategy=strategy)
        drive(searcher, 100, 1)
        return float(-searcher.history.values.min())

    found = np.array([(best(s, LocalSearch()), best(s, Random())) for s in range(5)])
    assert (found[:, 0] > found[:, 1]).all()


def test_budgets_hold() -> None:
    bound = [Constraint.parse("macs<=2e6")]
    searcher = Searcher(SPACE, OBJECTIVES[:1], bound, seed=0, strategy=LocalSearch(starts=5))
    told = drive(searcher, 10, 5)
    assert all(trial.metrics["macs"] <= 2e6 for batch in told for trial in batch)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="starts must be"):
        LocalSearch(starts=0)
