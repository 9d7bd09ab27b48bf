from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UnknownName, UsageError
from nas.evaluation.metrics import DECLARED
from nas.objectives import Constraint, Metric, Objective, metric_of

SELECTABLE = [name for name in DECLARED if not name.startswith("test_")]
SPEED = Metric("speed", "max", label="frames", unit="1/s")


class TestMetric:
    def test_what_is_not_said_is_the_name(self) -> None:
        assert (Metric("speed", "max").label, Metric("speed", "max").column) == ("speed", "speed")
        assert (Metric("speed", "max").axis, SPEED.axis) == ("speed", "frames (1/s)")

    def test_on_the_test_split(self) -> None:
        metric = DECLARED["accuracy"].on_test()
        assert (metric.axis, metric.column, metric.text(0.5)) == ("test accuracy (%)", "test %", "50.00")
        assert metric == DECLARED["test_accuracy"]

    def test_a_name_is_one_word(self) -> None:
        with pytest.raises(UsageError, match="'a b'"):
            Metric("a b", "max")

    @pytest.mark.parametrize(
        ("metric", "value", "text"),
        [
            ("accuracy", 0.97234, "97.23"), ("test_accuracy", 1.0, "100.00"), ("params", 812, "812"),
            ("params", 999.4, "999"), ("params", 999.6, "1.00k"), ("macs", 812_345, "812k"), ("macs", 999_600, "1.00M"),
            ("macs", 3_020_000, "3.02M"), ("macs", 45e6, "45.0M"), ("macs", 2.5e9, "2.50G"), ("loss", 0.51, "0.5100"),
            ("latency_ms", 12.3456, "12.35"), ("latency_ms", 1234.0, "1234"), ("nobody_declared", 1234.56, "1235"),
        ],
    )  # fmt: skip
    def test_numbers_for_people(self, metric: str, value: float, text: str) -> None:
        assert metric_of(metric, DECLARED).text(value) == text


@pytest.mark.parametrize("name", SELECTABLE)
def test_an_objective_has_its_metrics_direction(name: str) -> None:
    assert Objective.parse(name) == Objective(name, DECLARED[name].direction)
    assert Objective.parse(f"max:{name}").direction == "max"
    assert Objective.parse(str(Objective(name, "min"))) == Objective(name, "min")


def test_as_minimised() -> None:
    assert Objective("accuracy", "max").as_minimised(0.9) == -0.9
    assert Objective("macs", "min").as_minimised(5.0) == 5.0


def test_metrics_of_ones_own() -> None:
    assert Objective.parse("speed", {"speed": SPEED}) == Objective("speed", "max")
    assert Objective.parse("min:my_score") == Objective("my_score", "min")
    with pytest.raises(UnknownName, match=r"'speed'.* Known: speed\. For a metric of your own .*min:sped or max:sped"):
        Objective.parse("sped", {"speed": SPEED})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accurcy", "Did you mean 'accuracy'.*max:accurcy"),
        ("mac", "'macs'"),
        ("less:macs", "'less'"),
        ("", "write it as"),
        ("min:", "write it as"),
        ("max:two words", "write it as"),
        ("test_accuracy", "no search sees the test split; take 'accuracy'"),
        ("max:test_accuracy", "no search sees"),
        ("te_nas", "ntk_condition, linear_regions"),
    ],
)
def test_bad_objectives(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Objective.parse(text)


@given(st.sampled_from([*SELECTABLE, "my_score"]), st.sampled_from(["<=", ">="]), st.integers(-(10**11), 10**11))
def test_constraints_round_trip(metric: str, sense: str, bound: int) -> None:
    constraint = Constraint.parse(f" {metric} {sense} {bound} ")
    assert (constraint.metric, constraint.sense, constraint.bound) == (metric, sense, bound)
    assert Constraint.parse(str(constraint)) == constraint


@pytest.mark.parametrize(
    ("text", "said"),
    [(t, "constraint") for t in ("macs", "macs<3", "macs==3", "macs<=", "macs<=three", "macs<=nan", "macs>=inf", "")]
    + [("test_accuracy>=0.9", "no search sees")],
)
def test_bad_constraints(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Constraint.parse(text)


def test_violation_is_relative_and_0_on_the_bound() -> None:
    most, least = Constraint("macs", "<=", 200.0), Constraint("accuracy", ">=", 0.8)
    assert (most.violation(200), most.violation(250), most.violation(10)) == (0.0, 0.25, 0.0)
    assert least.violation(0.8) == 0.0
    assert math.isclose(least.violation(0.6), 0.25)
    assert Constraint("macs", "<=", 0.0).violation(1) > 1e9
