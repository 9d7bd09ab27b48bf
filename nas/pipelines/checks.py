"""What a search refuses before anything is read or trained: settings without a place, metrics that nothing measures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from nas.evaluation.population.racing import Racing
    from nas.objectives import Constraint, Objective
    from nas.task import Task


def check_alone(given: Mapping[str, object]) -> None:
    """Refuse settings that say how to train, beside a supernet.

    Raises:
        UsageError: Names the first that is not None.
    """
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no place beside --supernet, which brings its own")


def check_untrained(given: Mapping[str, object], *, where: str = "proxies or a table answer") -> None:
    """Refuse settings that say how to train or where, where nothing is trained.

    Raises:
        UsageError: Names the first that is not None.
    """
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no place where {where}; leave it out")


def check_measured(goals: Sequence[Objective | Constraint]) -> None:
    """Refuse a goal on a metric that a search of a supernet does not measure, before minutes of training.

    Raises:
        UnknownName: Names the nearest one that it does.
    """
    from nas.evaluation.latency import LATENCY
    from nas.evaluation.metrics import TASK_METRICS
    from nas.search_spaces import COSTS

    measured = [metric.name for metric in (*TASK_METRICS, LATENCY, *COSTS)]
    for goal in goals:
        if goal.metric not in measured:
            raise UnknownName("metric of a search", goal.metric, measured)


def check_scored(goals: Sequence[Objective | Constraint], scores: Collection[str], *, table: bool) -> None:
    """Refuse a goal that neither proxies nor a table give.

    Args:
        goals: Objectives and constraints.
        scores: Names of proxies.
        table: Whether a table answers.

    Raises:
        UnknownName: Names the nearest metric that can be had.
        UsageError: Accuracy beside proxies, without a table.
    """
    from nas.evaluation.latency import LATENCY
    from nas.evaluation.metrics import TASK_METRICS
    from nas.search_spaces import COST_NAMES
    from nas.task import ACCURACY

    known = (*scores, *COST_NAMES, *((ACCURACY.name,) if table else ()))
    trained = [metric.name for metric in (*TASK_METRICS, LATENCY)]
    for goal in goals:
        if goal.metric in trained and goal.metric not in known:
            if table:
                raise UsageError(f"a table has accuracies and no {goal.metric}; leave that objective or bound out")
            raise UsageError(
                f"a search by proxies trains nothing and has no {goal.metric}; "
                "give --table with a benchmark's accuracies, or use --assist to put a proxy beside a supernet"
            )
        if goal.metric not in known:
            raise UnknownName("metric of a search without training", goal.metric, known)


def racing_for(objectives: Sequence[Objective], constraints: Sequence[Constraint], task: Task) -> Racing:
    """The race for these goals.

    Raises:
        UsageError: Examples cannot decide it, or a bound could make a loser the winner.
    """
    from nas.evaluation.population.racing import Racing
    from nas.search_spaces import COST_NAMES, COSTS

    for bound in constraints:
        if bound.metric not in COST_NAMES:
            costs = " and ".join(cost.name for cost in COSTS)
            raise UsageError(f"--racing may stop those who meet {bound}; use bounds on {costs}, or leave it out")
    race = Racing(tuple(objectives))
    race.check(task)
    return race
