from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UsageError
from nas.objectives import Constraint
from nas.searchers import Evolution, Random, Searcher
from nas.testing import SearcherContract
from nas.testing.searcher import drive
from tests.searching import OBJECTIVES, SPACE


class TestEvolution(SearcherContract):
    strategy = Evolution(population=8, tournament=3)


def test_the_oldest_dies_however_good_it_is() -> None:
    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=Evolution(population=5, tournament=2))
    drive(searcher, 4, 3)
    assert searcher.history.population.tolist() == [7, 8, 9, 10, 11]


def test_a_child_is_the_tournament_winner_with_one_decision_changed() -> None:
    # A tournament of many draws always has the best of three.
    searcher = Searcher(SPACE, OBJECTIVES[:1], seed=0, strategy=Evolution(population=3, tournament=200))
    drive(searcher, 1, 3)
    history = searcher.history
    best = history.rows[history.values[:, 0].argmin()]
    for child in SPACE.indices(searcher.ask(6)):
        both = (child >= 0) & (best >= 0)
        assert ((child != best) & both).sum() == 1


def test_feasible_parents_win_over_better_infeasible_ones() -> None:
    bound = [Constraint.parse("latency_ms<=1.5")]
    searcher = Searcher(SPACE, OBJECTIVES[:1], bound, seed=0, strategy=Evolution(population=10, tournament=4))
    drive(searcher, 30, 10)
    late = searcher.history.violation[-100:]
    assert (late == 0).mean() > (searcher.history.violation[:10] == 0).mean() + 0.3


def test_it_beats_random_search() -> None:
    def best(seed: int, strategy: Evolution | Random) -> float:
        searcher = Searcher(SPACE, OBJECTIVES[:1], seed=seed, strategy=strategy)
        drive(searcher, 20, 10)
        return float(-searcher.history.values.min())

    found = np.array([(best(s, Evolution(20, 5)), best(s, Random())) for s in range(5)])
    assert (found[:, 0] > found[:, 1]).all()


@pytest.mark.parametrize("settings", [{"population": 0}, {"tournament": 0}, {"mutation_rate": 1.5}])
def test_wrong_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(settings))} must be"):
        Evolution(**settings)
