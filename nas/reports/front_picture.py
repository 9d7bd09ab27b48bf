"""A Pareto front as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.objectives import Metric, Objective, metric_of
from nas.reports.figures import check_suffix, save
from nas.reports.selection import front, is_wide, marks
from nas.search_spaces import COSTS
from nas.searchers import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes_of(objectives: Sequence[Objective]) -> tuple[Objective, Objective]:
    """The objectives that a picture shows: across what it costs, upwards what is wanted first.

    Across is the first minimised one besides the first, else the second, else a cost that every space has.
    """
    first, others = objectives[0], objectives[1:]
    if not others:
        cost = next(cost for cost in reversed(COSTS) if cost.name != first.metric)
        return Objective(cost.name, cost.direction), first
    if first.direction == "min":
        gains = [o for o in others if o.direction == "max"]
        return (first, gains[0]) if gains else (others[0], first)
    return next((o for o in others if o.direction == "min"), others[0]), first


def draw_front(
    trials: Sequence[Trial], members: Sequence[Trial], objectives: Sequence[Objective], path: Path, *,
    metrics: Mapping[str, Metric],
) -> None:  # fmt: skip
    """Draw `front_figure` into a file, .png or .svg, that appears complete or not at all.

    Raises:
        UsageError: Another suffix.
    """
    check_suffix(path)
    save(front_figure(trials, members, objectives, metrics=metrics), path)


def front_figure(
    trials: Sequence[Trial], members: Sequence[Trial], objectives: Sequence[Objective], *, metrics: Mapping[str, Metric]
) -> Figure:
    """Every finished trial and the front.

    With more than two objectives the front's members are all drawn, and the step line joins those that none dominates
    in the two that are shown.

    Args:
        trials: All finished trials; failed ones have no place in it.
        members: The front.
        objectives: What was wanted.
        metrics: Labels and units; others are shown by their names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    across, up = (_Axis(goal, metric_of(goal.metric, metrics)) for goal in axes_of(objectives))
    _draw(axes, [t for t in trials if t.metrics], members, across, up)
    _label(axes, members, objectives, across, up)
    return figure


@dataclass(frozen=True, slots=True)
class _Axis:
    """What one axis shows, and how people read it."""

    goal: Objective
    metric: Metric

    def values(self, trials: Sequence[Trial]) -> list[float]:
        """In the unit that is shown."""
        return [trial.metrics[self.metric.name] * self.metric.factor for trial in trials]


def _draw(axes: Axes, trials: Sequence[Trial], members: Sequence[Trial], across: _Axis, up: _Axis) -> None:
    x, y = across.values(trials), up.values(trials)
    axes.scatter(x, y, s=9, color="0.72", linewidths=0, label=f"{len(trials):,} trials", zorder=1)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        if is_wide(values):
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    line = front(members, (up.goal, across.goal))
    line.sort(key=lambda trial: trial.metrics[across.metric.name])
    # Between two members one can have what the one on the cheaper side gives.
    where = "steps-post" if across.goal.direction == "min" else "steps-pre"
    axes.plot(across.values(line), up.values(line), color="C0", drawstyle=where, linewidth=1.4, zorder=2)
    x, y = across.values(members), up.values(members)
    axes.scatter(x, y, s=22, color="C0", linewidths=0, label=f"front ({len(members)})", zorder=3)


def _label(axes: Axes, members: Sequence[Trial], objectives: Sequence[Objective], across: _Axis, up: _Axis) -> None:
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import EngFormatter

    for axis, shown in ((axes.xaxis, across), (axes.yaxis, up)):
        arrow = "lower is better" if shown.goal.direction == "min" else "higher is better"
        axis.set_label_text(f"{shown.metric.axis}, {arrow}")
        if shown.metric.count:
            axis.set_major_formatter(EngFormatter(sep=""))
    # Words go to the better side of both axes, where a front of these two has no trials.
    right, above = (-1 if across.goal.direction == "min" else 1), (1 if up.goal.direction == "max" else -1)
    for (digest, word), color in zip(marks(members, objectives).items(), ("C3", "C2"), strict=False):
        trial = next(t for t in members if t.arch.digest == digest)
        (x,), (y,) = across.values([trial]), up.values([trial])
        axes.scatter([x], [y], s=90, marker="*", color=color, zorder=4, label=f"{word}: {digest[:8]}")
        axes.annotate(
            word, (x, y), xytext=(6 * right, 6 * above), textcoords="offset points", color=color, fontsize=9, zorder=5,
            ha="left" if right > 0 else "right", va="bottom" if above > 0 else "top",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    axes.margins(0.1)
    axes.grid(True, color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", frameon=False, fontsize=8)
