from __future__ import annotations

import math

import numpy as np
import pytest

from nas.errors import UsageError
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture
from nas.searchers import History, Problem, Trial
from nas.searchers.strategy import distinct
from tests.searching import SPACE


def history() -> History:
    objectives = [Objective("accuracy", "max"), Objective("macs", "min")]
    bounds = [Constraint.parse("latency_ms<=2"), Constraint.parse("params<=1e9")]
    return History(Problem(SPACE, objectives, bounds))


def test_values_are_minimised_and_violations_relative() -> None:
    told = history()
    positions = told.add([Trial(0, SPACE.smallest(), {"accuracy": 0.5, "macs": 7.0, "latency_ms": 3.0}, 0)])
    assert positions.tolist() == [0]
    assert told.values.tolist() == [[-0.5, 7.0]]
    assert told.violations.tolist() == [[0.5, 0.0]]
    assert told.violation.tolist() == [0.5]


def test_costs_that_were_not_measured_are_the_exact_ones() -> None:
    told = history()
    told.add([Trial(0, SPACE.smallest(), {"accuracy": 0.5, "latency_ms": 1.0}, 0)])
    assert told.values[0, 1] == SPACE.cost(SPACE.smallest()).macs


@pytest.mark.parametrize(
    "bad", [{}, {"accuracy": math.nan, "latency_ms": 1.0}, {"accuracy": 0.5, "latency_ms": math.inf}]
)
def test_a_missing_or_infinite_number_is_a_failure(bad: dict[str, float]) -> None:
    told = history()
    good = {"accuracy": 0.1, "latency_ms": 1.0}
    positions = told.add([Trial(0, SPACE.smallest(), bad, 0), Trial(1, SPACE.largest(), good, 0)])
    assert positions.tolist() == [1]
    assert told.failed.tolist() == [True, False]
    assert np.isinf(told.values[0]).all()
    assert np.isinf(told.violations[0]).all()
    assert told.knows(told.rows[0].tobytes())


def test_a_value_that_is_no_choice_is_refused() -> None:
    small = SPACE.smallest()
    odd = Architecture(small.space, small.names, (999, *small.values[1:]))
    with pytest.raises(UsageError, match="999"):
        history().add([Trial(0, odd, {}, 0)])


def test_distinct_asks_the_draws_in_turn_and_keeps_what_is_new(rng: np.random.Generator) -> None:
    told = history()
    told.add([Trial(0, SPACE.smallest(), {}, 0)])
    stale = SPACE.indices([SPACE.smallest(), SPACE.largest(), SPACE.largest()])
    rows = distinct(told, rng, 3, lambda source, k: stale, told.problem.space.sample_choices)
    archs = SPACE.architectures(rows)
    assert archs[0] == SPACE.largest()
    assert len(set(archs)) == 3
    assert SPACE.smallest() not in archs
    assert len(distinct(told, rng, 3, lambda source, k: stale)) == 1
