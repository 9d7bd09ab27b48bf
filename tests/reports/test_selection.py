from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nas.objectives import Constraint, Objective
from nas.reports import selection
from nas.searchers import Trial
from tests.reports.trials import ACCURACY, GOALS, LATENCY, MACS, trial, trials_of

SMALL = st.integers(0, 4).map(float)
ROWS = st.lists(st.tuples(st.none() | SMALL, SMALL, SMALL), max_size=24)


def dominates(a: Trial, b: Trial, goals: Sequence[Objective]) -> bool:
    pairs = [(g.as_minimised(a.metrics[g.metric]), g.as_minimised(b.metrics[g.metric])) for g in goals]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def test_what_a_race_stopped_is_on_no_front() -> None:
    trials = [trial(0, 3.0, 2.0), trial(1, 4.0, 1.0, partial_images=500.0), trial(2, 2.0, 1.0)]
    assert selection.front(trials, GOALS) == [trials[2], trials[0]]
    assert selection.best(trials, GOALS) is trials[0]


@given(ROWS, st.sampled_from([(ACCURACY,), (MACS,), GOALS, (MACS, ACCURACY), (ACCURACY, MACS, LATENCY)]), SMALL)
def test_the_front_by_its_definition(
    rows: list[tuple[float | None, ...]], goals: tuple[Objective, ...], bound: float
) -> None:
    trials = trials_of(rows)
    members = selection.front(trials, goals, [Constraint("latency_ms", "<=", bound)])
    able = [t for t in trials if t.metrics and t.metrics["latency_ms"] <= bound]
    expected = list[Trial]()
    for t in able:
        values = [t.metrics[g.metric] for g in goals]
        twin = any([e.metrics[g.metric] for g in goals] == values for e in expected)
        if not twin and not any(dominates(other, t, goals) for other in able):
            expected.append(t)
    assert sorted(members, key=lambda t: t.number) == expected
    by = next((g for g in goals if g.direction == "min"), goals[0])
    costs = [by.as_minimised(t.metrics[by.metric]) for t in members]
    assert costs == sorted(costs)


@given(ROWS)
def test_the_best_is_on_the_front(rows: list[tuple[float | None, ...]]) -> None:
    trials = trials_of(rows)
    best, members = selection.best(trials, GOALS), selection.front(trials, GOALS)
    if best is None:
        assert members == []
        assert all(not t.metrics for t in trials)
    else:
        assert best == members[-1]
        assert best.metrics["accuracy"] == max(t.metrics["accuracy"] for t in trials if t.metrics)


def test_ties_of_the_best_go_to_the_cheaper_then_to_the_earlier() -> None:
    assert selection.best(trials_of([(0.9, 5.0), (0.9, 3.0), (0.9, 3.0), (0.8, 1.0)]), GOALS) == trial(1, 0.9, 3.0)


def test_constraints_of_both_senses() -> None:
    trials = trials_of([(0.5, 1.0), (0.7, 2.0), (0.9, 3.0)])
    bounds = [Constraint("accuracy", ">=", 0.6), Constraint("macs", "<=", 2.0)]
    assert selection.feasible(trials, bounds) == [trials[1]]
    assert selection.best(trials, GOALS, bounds) == trials[1]


def test_the_knee_is_farthest_from_the_chord() -> None:
    trials = trials_of([(0.5, 1.0), (0.88, 2.0), (0.9, 3.0), (0.92, 9.0)])
    assert selection.knee(trials, GOALS) == trials[1]
    assert selection.knee(trials[:1], GOALS) == trials[0]
    assert selection.knee([], GOALS) is None


def test_the_knee_of_scores_over_many_powers_of_ten_is_that_of_their_logarithms() -> None:
    rows = [(1e1, 1.0), (1e9, 2.0), (1e10, 8.0), (1e13, 9.0)]
    assert selection.knee(trials_of(rows), GOALS) == trials_of(rows)[1]
