from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nas.searchers import crowding_distance, hypervolume, knee, non_dominated_ranks, pareto_front
from nas.searchers.pareto import best_first, ranks_by_peeling

# Few levels, so that ties and duplicates are common.
POINTS = st.tuples(st.integers(0, 30), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 5).map(float))
)


def slow_ranks(values: NDArray[np.float64]) -> list[int]:
    """Straight from the definition, point by point."""

    def dominates(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    ranks, left, rank = [-1] * len(values), set(range(len(values))), 0
    while left:
        front = {i for i in left if not any(dominates(values[j], values[i]) for j in left)}
        for i in front:
            ranks[i] = rank
        left -= front
        rank += 1
    return ranks


def slow_crowding(values: NDArray[np.float64], ranks: NDArray[np.int64]) -> list[float]:
    """Front by front, objective by objective, point by point."""
    out = [0.0] * len(values)
    for rank in set(ranks.tolist()):
        front = [i for i in range(len(values)) if ranks[i] == rank]
        for goal in range(values.shape[1]):
            order = sorted(front, key=lambda i: values[i, goal])
            spread = values[order[-1], goal] - values[order[0], goal]
            for place, i in enumerate(order):
                if len(front) <= 2 or (spread > 0 and place in (0, len(order) - 1)):
                    out[i] = float("inf")
                elif spread > 0:
                    gap = values[order[place + 1], goal] - values[order[place - 1], goal]
                    out[i] += gap / spread / values.shape[1]
    return out


@given(POINTS)
@settings(max_examples=150, deadline=None)
def test_ranks_and_crowding_follow_their_definitions(values: NDArray[np.float64]) -> None:
    ranks = non_dominated_ranks(values)
    assert ranks.tolist() == slow_ranks(values)
    np.testing.assert_allclose(crowding_distance(values, ranks), slow_crowding(values, ranks), rtol=1e-12)


WITH_INFINITY = st.tuples(st.integers(0, 40), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0, 1, 2, 3.5, np.inf]))
)


@given(WITH_INFINITY)
@settings(max_examples=100, deadline=None)
def test_the_fast_paths_equal_the_matrix(values: NDArray[np.float64]) -> None:
    expected = ranks_by_peeling(values)
    assert non_dominated_ranks(values).tolist() == expected.tolist()
    assert pareto_front(values).tolist() == np.flatnonzero(expected == 0).tolist()


@pytest.mark.parametrize("goals", [1, 2, 3, 5])
@pytest.mark.parametrize("levels", [3, 10, None], ids=["many ties", "ties", "no ties"])
@pytest.mark.parametrize("n", [1, 2, 3, 40, 300])
def test_ranks_and_crowding_equal_pymoos(n: int, levels: int | None, goals: int, rng: np.random.Generator) -> None:
    values = rng.random((n, goals)) if levels is None else rng.integers(levels, size=(n, goals)).astype(float)
    fronts, expected = NonDominatedSorting().do(values, return_rank=True)
    ranks = non_dominated_ranks(values)
    assert ranks.tolist() == expected.tolist()
    distance = crowding_distance(values, ranks)
    for front in fronts:
        np.testing.assert_allclose(distance[front], get_crowding_function("cd").do(values[front]), rtol=1e-9)


def test_ends_are_infinitely_far_unless_their_objective_is_constant() -> None:
    values = np.array([[0.0, 3.0], [1.0, 1.0], [3.0, 0.0]])
    assert crowding_distance(values, np.zeros(3, np.int64)).tolist() == [np.inf, 1.0, np.inf]
    same = np.array([[1.0, 1.0]] * 3)
    assert crowding_distance(same, np.zeros(3, np.int64)).tolist() == [0.0, 0.0, 0.0]
    assert crowding_distance(same[:2], np.zeros(2, np.int64)).tolist() == [np.inf, np.inf]


def test_constrained_dominance_puts_feasible_first_and_less_violation_before_more() -> None:
    values = np.array([[5.0, 5.0], [4.0, 4.0], [0.0, 0.0], [1.0, 1.0], [9.0, 9.0]])
    violation = np.array([0.0, 0.0, 0.7, 0.2, 0.2])
    assert non_dominated_ranks(values, violation).tolist() == [1, 0, 3, 2, 2]
    assert best_first(values, violation)[0] == 1
    assert pareto_front(values, violation).tolist() == [1]
    assert pareto_front(values, violation + 1).tolist() == []
    assert non_dominated_ranks(values, violation + 1).tolist() == [0, 0, 2, 1, 1]


def test_best_first_orders_by_rank_then_crowding_then_age() -> None:
    front = np.array([[0.0, 9.0], [1.0, 5.0], [1.5, 4.5], [9.0, 0.0], [9.0, 9.0]])
    assert best_first(front).tolist() == [3, 0, 2, 1, 4]
    assert best_first(np.zeros((3, 2))).tolist() == [2, 1, 0]


def test_the_front_holds_equal_points_once_each() -> None:
    assert pareto_front(np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 1.0], [2.0, 2.0]])).tolist() == [0, 1, 2]


def test_hypervolume_of_boxes() -> None:
    reference = np.array([3.0, 3.0])
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), reference) == pytest.approx(3.0)
    assert hypervolume(np.array([[1.0, 2.0], [0.0, 5.0], [np.inf, np.inf]]), reference) == pytest.approx(2.0)
    assert hypervolume(np.empty((0, 2)), reference) == 0.0


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_the_knee_is_farthest_from_the_chord(scale: float) -> None:
    values = np.array([[9.0, 9.0], [0.0, 10.0], [1.0, 4.0], [2.0, 1.5], [8.0, 0.5], [10.0, 0.0]]) * [1.0, scale]
    ends = values[[1, 5]] / [1.0, scale]
    normal = np.array([ends[0, 1] - ends[1, 1], ends[1, 0] - ends[0, 0]])
    distances = ((ends[0] - values / [1.0, scale]) @ normal) / np.linalg.norm(normal)
    assert knee(values) == distances.argmax() == 3


def test_the_knee_of_a_hollow_or_single_front_is_a_member() -> None:
    assert knee(np.array([[0.0, 1.0], [0.6, 0.9], [1.0, 0.0]])) in (0, 2)
    assert knee(np.array([[2.0, 2.0], [1.0, 1.0]])) == 1
    assert knee(np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.2, 0.2, 0.2]])) == 3
