"""A Pareto front as a table of at most 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np

from nas.objectives import ERROR_SUFFIX, Constraint, Metric, Objective, metric_of
from nas.reports.selection import front, marks
from nas.searchers import Trial

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 80


def front_table(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = (), *,
    metrics: Mapping[str, Metric], limit: int | None = None,
) -> Table:  # fmt: skip
    """The front as a table of at most 80 columns.

    What is no goal gives way where there is not enough room, undeclared metrics first.

    Args:
        trials: All finished trials, or the members of a front.
        objectives: What was wanted.
        constraints: What had to hold.
        metrics: How numbers are headed and written, in the order of columns; others follow under their names.
        limit: Show at most so many members, spread over the front, best and knee always; None shows all.
    """
    members = front(trials, objectives, constraints)
    words = marks(members, objectives)
    shown = members if limit is None else _spread(members, limit, set(words))
    count = f"{len(members)}" if len(shown) == len(members) else f"{len(shown)} of {len(members)}"
    count += " member" if len(members) == 1 else " members"
    title = f"Pareto front, {count}: {', '.join(map(str, (*objectives, *constraints)))}"
    goals = {goal.metric for goal in objectives} | {bound.metric for bound in constraints}
    columns = _columns(members, goals, metrics)
    table = _table(title, shown, columns, words)
    while _width(table) > WIDTH and (spare := [metric for metric in columns if metric.name not in goals]):
        columns.remove(spare[-1])
        table = _table(title, shown, columns, words)
    return table


def _columns(members: Sequence[Trial], goals: Set[str], metrics: Mapping[str, Metric]) -> list[Metric]:
    """What the members have, without details that are no goal and without standard errors."""
    known = list(dict.fromkeys(name for trial in members for name in trial.metrics))
    names = [name for name in metrics if name in known] + [name for name in known if name not in metrics]
    names = [name for name in names if name.removesuffix(ERROR_SUFFIX) not in {*known} - {name}]
    columns = [metric_of(name, metrics) for name in names]
    return [metric for metric in columns if metric.name in goals or not metric.detail]


def _table(title: str, members: Sequence[Trial], columns: Sequence[Metric], words: Mapping[str, str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False,
        min_width=40,
    )  # fmt: skip
    table.add_column("digest", no_wrap=True)
    for metric in columns:
        table.add_column(metric.column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for trial in members:
        cells = [_cell(metric, trial.metrics) for metric in columns]
        word = words.get(trial.arch.digest, "")
        table.add_row(trial.arch.digest, *cells, word, style="bold" if word else None)
    return table


def _cell(metric: Metric, values: Mapping[str, float]) -> str:
    """A value, with its standard error where it has one."""
    if metric.name not in values:
        return "-"
    error = values.get(metric.name + ERROR_SUFFIX)
    text = metric.text(values[metric.name])
    return text if error is None else f"{text} ±{metric.text(error)}"


def _width(table: Table) -> int:
    from rich.console import Console

    return Console(width=10 * WIDTH).measure(table).maximum


def _spread(members: list[Trial], limit: int, always: set[str]) -> list[Trial]:
    """At most `limit` members, evenly spread, and all with a digest in `always`."""
    places = np.linspace(0, len(members) - 1, max(limit - len(always), 0)).round()
    return [trial for i, trial in enumerate(members) if i in places or trial.arch.digest in always]
