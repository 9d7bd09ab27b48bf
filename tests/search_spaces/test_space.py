from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas.errors import UnknownName, UsageError
from nas.search_spaces import ABSENT, MobileNetSpace, SearchSpace
from nas.search_spaces.mobilenet.config import StageSpec
from nas.task import ImageClassification
from nas.testing import SearchSpaceContract
from nas.testing.spaces import grid, nested
from tests.spaces import BASE, SPACES

LEARNED = SPACES["learned"]


class TestGrid(SearchSpaceContract):
    """A space that is no MobileNet: one state, no costs."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return grid(4, 5)

    def read_back(self, text: str) -> SearchSpace:
        return grid(4, 5)

    def test_size(self, space: SearchSpace) -> None:
        assert space.size == 5**4


class TestNested(SearchSpaceContract):
    """Conditions on conditions, and several at once."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return nested()

    def read_back(self, text: str) -> SearchSpace:
        return nested()


def test_indices_of_nothing() -> None:
    assert LEARNED.indices([]).shape == (0, len(LEARNED.genes))
    assert LEARNED.architectures(np.zeros((0, len(LEARNED.genes)), dtype=np.int16)) == []
    assert LEARNED.encode([]).shape == (0, LEARNED.cardinalities.sum())


def test_from_genes_says_what_is_wrong() -> None:
    genes = LEARNED.smallest().genes
    with pytest.raises(UnknownName, match=r"stage0\.width"):
        LEARNED.from_genes({**genes, "stage0.widht": 8})
    with pytest.raises(UsageError, match=r"'stage0\.width' is 9; choose one of \[8, 12\]"):
        LEARNED.from_genes({**genes, "stage0.width": 9})
    with pytest.raises(UsageError, match=r"'stage0\.width' is missing"):
        LEARNED.from_genes({k: v for k, v in genes.items() if k != "stage0.width"})
    with pytest.raises(UsageError, match=r"'stage0\.block1\.kernel' does not exist"):
        LEARNED.from_genes({**genes, "stage0.block1.kernel": 3})
    with pytest.raises(UsageError, match="choose one of"):
        LEARNED.from_genes({**genes, "stage0.depth": True})


def test_mutation_changes_about_rate_of_the_genes(rng: np.random.Generator) -> None:
    parents = np.tile(LEARNED.indices([LEARNED.largest()]), (4000, 1))
    children = LEARNED.mutate_indices(parents, rng, 0.3)
    always = [LEARNED.names.index(name) for name in ("resolution", "stage0.width", "stage0.block0.kernel")]
    assert abs((children != parents)[:, always].mean() - 0.3) < 0.02


def test_a_forced_mutation_picks_every_gene_alike(rng: np.random.Generator) -> None:
    parents = np.tile(LEARNED.indices([LEARNED.smallest()]), (4000, 1))
    children = LEARNED.mutate_indices(parents, rng, 0.0)
    there = np.flatnonzero(parents[0] != ABSENT)
    counts = (children != parents)[:, there].sum(axis=0)
    assert counts.sum() == 4000
    expected = 4000 / len(there)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_mutation_reaches_every_other_choice(rng: np.random.Generator) -> None:
    at = LEARNED.names.index("stage1.depth")
    parents = np.tile(LEARNED.indices([LEARNED.smallest()]), (500, 1))
    assert set(LEARNED.mutate_indices(parents, rng, 1.0)[:, at].tolist()) == {1, 2}


def test_crossover_mixes_both_parents(rng: np.random.Generator) -> None:
    a = np.tile(LEARNED.indices([LEARNED.largest()]), (2000, 1))
    b = np.tile(LEARNED.indices([LEARNED.smallest()]), (2000, 1))
    at = LEARNED.names.index("stage0.width")
    assert abs(LEARNED.crossover_indices(a, b, rng)[:, at].mean() - 0.5) < 0.05


def test_sample_choices_draws_genes_alike_and_from_the_lowest(rng: np.random.Generator) -> None:
    rows = LEARNED.sample_choices(rng, 3000)
    depth = LEARNED.names.index("stage1.depth")
    assert (np.abs(np.bincount(rows[:, depth]) / 3000 - 1 / 3) < 0.05).all()
    lowest = np.zeros(len(LEARNED.genes), dtype=np.int64)
    lowest[depth] = 2
    assert (LEARNED.sample_choices(rng, 50, lowest)[:, depth] == 2).all()


def test_members_of_another_space_are_not_in_this_one() -> None:
    assert SPACES["fixed"].smallest() not in LEARNED
    assert "learned" not in LEARNED
    with pytest.raises(UsageError, match="another space"):
        LEARNED.cost(SPACES["fixed"].smallest())


def test_members_made_for_another_task_are_refused() -> None:
    bigger = MobileNetSpace(replace(BASE, resolutions=(7, 8)), task=ImageClassification(8, 3, 5))
    assert bigger.names == LEARNED.names
    with pytest.raises(UsageError, match=r"resolution=6, here it is one of \[7, 8\]"):
        bigger.cost(LEARNED.smallest())
    bigger.require(LEARNED.largest())  # the same choices name a member of both


def test_a_space_with_one_member(rng: np.random.Generator) -> None:
    stage = StageSpec((8,), (2,), (3,), (2,), 1, "relu", squeeze=False)
    space = MobileNetSpace(replace(BASE, resolutions=(8,), stages=(stage,)), task=ImageClassification(8, 3, 5))
    only = space.largest()
    assert space.size == 1
    assert space.sample(rng) == space.mutate(only, rng, 0.5) == space.crossover(only, only, rng) == only
    assert space.neighbours(only) == []
    assert space.encode([only]).shape == (1, 0)
