"""The costs that every space knows exactly before anything is evaluated, as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from nas.objectives import Constraint, Metric

PARAMS = Metric("params", "min", label="parameters", count=True)
MACS = Metric("macs", "min", label="multiply-adds an input", count=True)
COSTS = (PARAMS, MACS)  # what `space.cost` and `space.costs` give
COST_NAMES = frozenset(metric.name for metric in COSTS)


def budgets(constraints: Iterable[Constraint]) -> list[Constraint]:
    """The bounds on exact costs, which are met before anything is evaluated."""
    return [constraint for constraint in constraints if constraint.metric in COST_NAMES]
