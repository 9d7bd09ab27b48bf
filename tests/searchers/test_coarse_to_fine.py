from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UsageError
from nas.objectives import Constraint
from nas.searchers import CoarseToFine, Searcher
from nas.searchers.coarse_to_fine import stages
from nas.testing import SearcherContract
from nas.testing.searcher import drive
from nas.testing.spaces import grid
from tests.searching import OBJECTIVES, SPACE


class TestCoarseToFine(SearcherContract):
    strategy = CoarseToFine(coarse=10)


class TestCoarseToFineWithItsWholeGrid(SearcherContract):
    strategy = CoarseToFine()


def test_dimensions_and_stages_come_from_the_names() -> None:
    assert {gene.kind for gene in SPACE.genes} == {"resolution", "width", "depth", "kernel", "expansion"}
    assert set(stages(SPACE.genes)) == {"resolution", "stage0", "stage1"}


def test_the_coarse_phase_asks_every_combination_of_one_level_per_dimension() -> None:
    searcher = Searcher(SPACE, OBJECTIVES, seed=0, strategy=CoarseToFine())
    # Levels: resolution 2, width 2, depth 3, kernel 3, expansion 2.
    (coarse,) = drive(searcher, 1, 72)
    names = np.array([gene.kind for gene in SPACE.genes])
    last = SPACE.cardinalities - 1
    for row in SPACE.indices([trial.arch for trial in coarse]):
        for name in set(names):
            relative = {row[d] / last[d] for d in np.flatnonzero(names == name) if row[d] >= 0}
            # Two choices cannot take the middle of three; they round to one of their ends.
            assert len(relative) == 1 or 0.5 in relative
    genes = ("resolution", "stage1.width", "stage1.depth", "stage1.block0.kernel", "stage1.block0.expansion")
    combinations = {tuple(trial.arch[gene] for gene in genes) for trial in coarse}
    assert len(combinations) == 72
    assert SPACE.largest() in {t.arch for t in coarse}
    assert SPACE.smallest() in {t.arch for t in coarse}


def test_the_fine_phase_stays_near_the_front_and_improves_it() -> None:
    bound = [Constraint.parse("latency_ms<=2")]
    searcher = Searcher(SPACE, OBJECTIVES[:1], bound, seed=0, strategy=CoarseToFine())
    drive(searcher, 1, 72)
    coarse = searcher.history
    best = coarse.rows[coarse.population[0]]
    before = coarse.values[coarse.population[0], 0]
    assert coarse.violation[coarse.population].max() == 0
    groups = np.array(stages(SPACE.genes))
    (fine,) = drive(searcher, 1, 10)
    for row in SPACE.indices([trial.arch for trial in fine]):
        assert len(set(groups[(row != best) & (row >= 0)])) <= 1  # one stage changed at most
    drive(searcher, 10, 10)
    assert searcher.history.violation[searcher.history.population].max() == 0
    assert searcher.history.values[searcher.history.population[0], 0] < before


def test_a_grid_that_is_too_large_is_sampled() -> None:
    objectives = OBJECTIVES[:1]
    searcher = Searcher(grid(30, 33), objectives, seed=0, strategy=CoarseToFine(coarse=20))
    drive(searcher, 3, 10)
    assert len(searcher.history) == 30


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="coarse must be"):
        CoarseToFine(coarse=0)
