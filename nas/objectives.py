"""What is measured, and what a search wants of it: metrics, objectives with a direction, constraints with a bound."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Literal, cast

from nas.errors import UnknownName, UsageError

Direction = Literal["max", "min"]

# Every metric that nas measures. Its module lies above this one: it is imported when a name is looked up.
DECLARED = "nas.evaluation.metrics"
TEST_PREFIX = "test_"  # how metrics of the test split begin
ERROR_SUFFIX = "_se"  # how the standard error of a metric ends


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that says how good an architecture is; a constant beside the code that measures it.

    Args:
        name: What trials, objectives and constraints call it, with its unit where it has one: `latency_ms`.
        direction: Whether more or less of it is better.
        label: What people call it, without the unit; none: the name.
        unit: Of what is shown, such as "%" or "ms".
        factor: From what is recorded to what is shown, such as 100.0 from a fraction to percent.
        column: The heading of a table's column; none: the name.
        count: Whether it counts something and is written as 812k or 3.02M.
        detail: Whether tables show it only where it is an objective or has a bound.
    """

    name: str
    direction: Direction
    label: str = ""
    unit: str = ""
    factor: float = 1.0
    column: str = ""
    count: bool = False
    detail: bool = False

    def __post_init__(self) -> None:
        if re.fullmatch(r"\w+", self.name) is None:
            raise UsageError(f"a metric's name is letters, digits and _, got {self.name!r}")
        object.__setattr__(self, "label", self.label or self.name)
        object.__setattr__(self, "column", self.column or self.name)

    @property
    def axis(self) -> str:
        """The label with its unit, as beside an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def on_test(self) -> Metric:
        """The same on the test split, which no search sees."""
        label, column = self.label.removeprefix("validation "), self.column.split()[-1]
        return replace(self, name=TEST_PREFIX + self.name, label=f"test {label}", column=f"test {column}")

    def text(self, value: float) -> str:
        """A recorded value for people: counts as 812k, what has a factor to two places, others to four digits."""
        if self.count:
            for prefix, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
                if value >= size * 0.9995:  # what would round to 1000 of a prefix is one of the next
                    return f"{value / size:#.3g}".rstrip(".") + prefix
            return f"{value:.0f}"
        return f"{value:#.4g}".rstrip(".") if self.factor == 1.0 else f"{value * self.factor:.2f}"


def metric_of(name: str, metrics: Mapping[str, Metric]) -> Metric:
    """The metric called `name`; one that nobody declared is shown by its name, with four digits."""
    return metrics[name] if name in metrics else Metric(name, "max")


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which it is better."""

    metric: str
    direction: Direction

    @classmethod
    def parse(cls, text: str, known: Mapping[str, Metric] | None = None) -> Objective:
        """Read "accuracy", "min:macs" or "max:my_score".

        >>> Objective.parse("accuracy")
        Objective(metric='accuracy', direction='max')

        Args:
            text: A metric that is known, or one of any name behind "min:" or "max:". A study refuses the latter at its
                first trial where its evaluator does not report it.
            known: Metrics by name; None: all that nas measures.

        Raises:
            UnknownName: No such metric, and no direction either.
            UsageError: The text is of another form, or names a metric of the test split.
        """
        prefix, colon, name = text.strip().rpartition(":")
        if not colon:
            return cls(_checked(name, text), _direction_of(name, known))
        if prefix == "min":
            return cls(_checked(name, text), "min")
        if prefix == "max":
            return cls(_checked(name, text), "max")
        raise UsageError(f"objective {text!r}: the direction must be 'min' or 'max', got {prefix!r}")

    def __str__(self) -> str:
        return f"{self.direction}:{self.metric}"

    def as_minimised(self, value: float) -> float:
        """`value` with its sign turned where more is better."""
        return value if self.direction == "min" else -value


@dataclass(frozen=True, slots=True)
class Constraint:
    """An inclusive bound on a metric: `metric <= bound`, or `metric >= bound`."""

    metric: str
    sense: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read "macs<=3e6" or "accuracy>=0.9".

        >>> Constraint.parse("macs<=3e6")
        Constraint(metric='macs', sense='<=', bound=3000000.0)

        The metric may have any name; a study refuses it at its first trial where its evaluator does not report it.

        Raises:
            UsageError: The text is of another form, the bound is not a finite number, or it is of the test split.
        """
        match = re.fullmatch(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*", text)
        if match is None:
            raise UsageError(f"constraint {text!r}: write it as 'macs<=3e6' or 'accuracy>=0.9'")
        name, sense, number = match.groups()
        try:
            bound = float(number)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise UsageError(f"constraint {text!r}: {number!r} is not a finite number")
        return cls(_checked(name, text), "<=" if sense == "<=" else ">=", bound)

    def __str__(self) -> str:
        return f"{self.metric}{self.sense}{self.bound:.12g}"

    def violation(self, value: float) -> float:
        """How far `value` lies outside the bound, relative to it; 0.0 inside."""
        excess = value - self.bound if self.sense == "<=" else self.bound - value
        return max(0.0, excess) / max(abs(self.bound), 1e-12)


def _checked(name: str, text: str) -> str:
    """A metric's name that a search may select by."""
    if re.fullmatch(r"\w+", name) is None:
        raise UsageError(f"objective {text!r}: write it as 'accuracy', 'min:macs' or 'max:my_score'")
    if name.startswith(TEST_PREFIX):
        raise UsageError(f"{text!r}: no search sees the test split; take {name.removeprefix(TEST_PREFIX)!r}")
    return name


def _direction_of(name: str, known: Mapping[str, Metric] | None) -> Direction:
    metrics = cast("Mapping[str, Metric]", import_module(DECLARED).DECLARED) if known is None else known
    try:
        return metrics[name].direction
    except KeyError:
        advice = f"For a metric of your own say what is better: min:{name} or max:{name}"
        raise UnknownName("metric", name, metrics, advice=advice) from None
