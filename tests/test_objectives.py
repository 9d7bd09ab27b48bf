from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UnknownName, UsageError
from nas.objectives import METRICS, Constraint, Objective


@pytest.mark.parametrize("metric", METRICS)
def test_an_objective_has_its_metrics_direction(metric: str) -> None:
    assert Objective.parse(metric) == Objective(metric, METRICS[metric])
    assert Objective.parse(f"max:{metric}").direction == "max"
    assert Objective.parse(str(Objective(metric, "min"))) == Objective(metric, "min")


def test_as_minimised() -> None:
    assert Objective("accuracy", "max").as_minimised(0.9) == -0.9
    assert Objective("macs", "min").as_minimised(5.0) == 5.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accurcy", "'accuracy'"),
        ("min:mac", "'macs'"),
        ("less:macs", "'less'"),
        ("", "unknown metric"),
        ("min:", "unk"),
    ],
)
def test_bad_objectives(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Objective.parse(text)


@given(st.sampled_from(sorted(METRICS)), st.sampled_from(["<=", ">="]), st.integers(-(10**11), 10**11))
def test_constraints_round_trip(metric: str, sense: str, bound: int) -> None:
    constraint = Constraint.parse(f" {metric} {sense} {bound} ")
    assert (constraint.metric, constraint.sense, constraint.bound) == (metric, sense, bound)
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize("text", ["macs", "macs<3", "macs==3", "macs<=", "macs<=three", "macs<=nan", "macs>=inf", ""])
def test_bad_constraints(text: str) -> None:
    with pytest.raises(UsageError, match="constraint"):
        Constraint.parse(text)


def test_a_constraint_on_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="'latency_ms'"):
        Constraint.parse("latency<=3")


def test_violation_is_relative_and_0_on_the_bound() -> None:
    most, least = Constraint("macs", "<=", 200.0), Constraint("accuracy", ">=", 0.8)
    assert (most.violation(200), most.violation(250), most.violation(10)) == (0.0, 0.25, 0.0)
    assert least.violation(0.8) == 0.0
    assert math.isclose(least.violation(0.6), 0.25)
    assert Constraint("macs", "<=", 0.0).violation(1) > 1e9
