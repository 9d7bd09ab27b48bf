"""What a search found: the front, its best and its knee, as a table, a picture and a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.evaluation import PARTIAL
from nas.files import replacing
from nas.objectives import SCORES, Constraint, Objective
from nas.searchers import Trial, pareto

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

WIDE = 1e4  # largest over least value from which an axis is logarithmic
SUFFIXES = (".png", ".svg")

# How people read a metric: its name with the unit, and the factor from the recorded value.
_LABELS: dict[str, tuple[str, float]] = {
    "accuracy": ("validation accuracy (%)", 100.0),
    "test_accuracy": ("test accuracy (%)", 100.0),
    "loss": ("validation loss (nats)", 1.0),
    "params": ("parameters", 1.0),
    "macs": ("multiply-adds an image", 1.0),
    "latency_ms": ("latency (ms)", 1.0),
    "peak_mem_bytes": ("peak memory (bytes)", 1.0),
    **{name: (f"score {name}", 1.0) for name in SCORES},
}
_COLUMNS: dict[str, str] = {
    "accuracy": "acc. %",
    "test_accuracy": "test %",
    "loss": "loss",
    "params": "params",
    "macs": "macs",
    "latency_ms": "ms",
    "peak_mem_bytes": "mem B",
    **{name: name for name in SCORES},
}
_COUNTS = ("params", "macs", "peak_mem_bytes")


def feasible(trials: Sequence[Trial], constraints: Sequence[Constraint]) -> list[Trial]:
    """The trials that did not fail, were not stopped early and meet every constraint."""
    whole = [t for t in trials if t.metrics and PARTIAL not in t.metrics]
    return [t for t in whole if all(c.violation(t.metrics[c.metric]) == 0.0 for c in constraints)]


def front(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> list[Trial]:
    """The feasible trials that none dominates, cheapest first.

    Of several with equal objectives the earliest stays. Sorted by the first minimised objective, or by the first one
    where all are maximised, best first.
    """
    members = feasible(trials, constraints)
    if not members:
        return []
    points = _points(members, objectives)
    by = next((i for i, o in enumerate(objectives) if o.direction == "min"), 0)
    first = {tuple(points[i]): i for i in reversed(range(len(members)))}
    kept = np.array(sorted(first.values()))
    kept = kept[pareto.non_dominated_ranks(points[kept]) == 0]
    return [members[i] for i in sorted(kept, key=lambda i: (points[i, by], members[i].number))]


def best(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> Trial | None:
    """The first objective's best feasible trial; ties go to the later objectives in turn, then to the earliest."""
    members = feasible(trials, constraints)
    key = lambda trial: (*(o.as_minimised(trial.metrics[o.metric]) for o in objectives), trial.number)
    return min(members, key=key, default=None)


def knee(members: Sequence[Trial], objectives: Sequence[Objective]) -> Trial | None:
    """The member of a front that is farthest from its chord, drawn as `draw_front` does; None of an empty one."""
    if not members:
        return None
    points = _points(members, objectives)
    for column, objective in zip(points.T, objectives, strict=True):
        values = column * objective.as_minimised(1.0)
        if _is_wide(values.tolist()):
            column[:] = np.log(values) * objective.as_minimised(1.0)
    return members[pareto.knee(points)]


def _is_wide(values: Sequence[float]) -> bool:
    """Whether an axis of these values is logarithmic; some scores span tens of powers of ten."""
    return len(values) > 0 and min(values) > 0 and max(values) > WIDE * min(values)


def _points(trials: Sequence[Trial], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """[N, M], every objective minimised."""
    return np.array([[o.as_minimised(t.metrics[o.metric]) for o in objectives] for t in trials], dtype=np.float64)


def search_document(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = (), *,
    out: Path | None, wall_s: float, new: int | None = None, exhausted: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What `nas search --json` prints.

    Args:
        trials: All finished trials.
        objectives: What was wanted.
        constraints: What had to hold.
        out: The run's folder.
        wall_s: What the search took.
        new: Trials that this run evaluated; None means all of them.
        exhausted: Whether the searcher found nothing new any more.

    Returns:
        `trials`, `failed`, `stopped` (by racing), `feasible` and `new` are counts. `front` is a list of
        `{"digest", "arch", "metrics"}`, `best` and `knee` are one of these or None.
    """
    members = front(trials, objectives, constraints)
    return {
        "trials": len(trials),
        "new": len(trials) if new is None else new,
        "failed": sum(not trial.metrics for trial in trials),
        "stopped": sum(PARTIAL in trial.metrics for trial in trials),
        "feasible": len(feasible(trials, constraints)),
        "exhausted": exhausted,
        "objectives": [str(objective) for objective in objectives],
        "constraints": [str(constraint) for constraint in constraints],
        "front": [_document(trial) for trial in members],
        "best": _document(best(trials, objectives, constraints)),
        "knee": _document(knee(members, objectives)),
        "out": None if out is None else str(out),
        "wall_s": wall_s,
    }


def _document(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {"digest": trial.arch.digest, "arch": trial.arch.to_json(), "metrics": dict(trial.metrics)}


def human(metric: str, value: float) -> str:
    """A metric's value as a table shows it: accuracies in percent, counts as 812k or 3.02M, others to four digits."""
    if metric in _COUNTS:
        for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if value >= size * 0.9995:  # what would round to 1000 of a unit is one of the next
                return f"{value / size:#.3g}".rstrip(".") + unit
        return f"{value:.0f}"
    factor = _LABELS.get(metric, ("", 1.0))[1]
    return f"{value:#.4g}".rstrip(".") if factor == 1.0 else f"{value * factor:.2f}"


def front_table(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = (), *,
    limit: int | None = None,
) -> Table:  # fmt: skip
    """The front as a table of at most 80 columns.

    Loss and peak memory are shown where they are a goal, everything else where it is known.

    Args:
        trials: All finished trials, or the members of a front.
        objectives: What was wanted.
        constraints: What had to hold.
        limit: Show at most so many members, spread over the front, best and knee always; None shows all.
    """
    from rich import box
    from rich.table import Table

    members = front(trials, objectives, constraints)
    marks = _marks(members, objectives)
    goals = {goal.metric for goal in objectives} | {bound.metric for bound in constraints}
    known = {metric for trial in members for metric in trial.metrics}
    columns = [m for m in _COLUMNS if m in known and (m in goals or m not in ("loss", "peak_mem_bytes"))]
    shown = members if limit is None else _spread(members, limit, set(marks))
    count = f"{len(members)}" if len(shown) == len(members) else f"{len(shown)} of {len(members)}"
    count += " member" if len(members) == 1 else " members"
    wanted = ", ".join(map(str, (*objectives, *constraints)))
    table = Table(
        title=f"Pareto front, {count}: {wanted}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        padding=(0, 0, 0, 1), show_edge=False, min_width=40,
    )  # fmt: skip
    table.add_column("digest", no_wrap=True)
    for metric in columns:
        table.add_column(_COLUMNS[metric], justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for trial in shown:
        cells = [human(metric, trial.metrics[metric]) if metric in trial.metrics else "-" for metric in columns]
        mark = marks.get(trial.arch.digest, "")
        table.add_row(trial.arch.digest, *cells, mark, style="bold" if mark else None)
    return table


def _marks(members: Sequence[Trial], objectives: Sequence[Objective]) -> dict[str, str]:
    """The words "best", "knee" or "best, knee" by digest."""
    out = dict[str, str]()
    for word, trial in (("best", best(members, objectives)), ("knee", knee(members, objectives))):
        if trial is not None:
            out[trial.arch.digest] = f"{out[trial.arch.digest]}, {word}" if trial.arch.digest in out else word
    return out


def _spread(members: list[Trial], limit: int, always: set[str]) -> list[Trial]:
    """At most `limit` members, evenly spread, and all with a digest in `always`."""
    places = np.linspace(0, len(members) - 1, max(limit - len(always), 0)).round()
    return [trial for i, trial in enumerate(members) if i in places or trial.arch.digest in always]


def axes_of(objectives: Sequence[Objective]) -> tuple[Objective, Objective]:
    """The objectives that a picture shows: across what it costs, upwards what is wanted first.

    Across is the first minimised one besides the first, else the second, else the multiply-adds.
    """
    first, others = objectives[0], objectives[1:]
    if not others:
        return Objective("params" if first.metric == "macs" else "macs", "min"), first
    if first.direction == "min":
        gains = [o for o in others if o.direction == "max"]
        return (first, gains[0]) if gains else (others[0], first)
    return next((o for o in others if o.direction == "min"), others[0]), first


def draw_front(trials: Sequence[Trial], members: Sequence[Trial], objectives: Sequence[Objective], path: Path) -> None:
    """Draw every finished trial and the front into a file that appears complete or not at all.

    With more than two objectives the front's members are all drawn, and the step line joins those that none dominates
    in the two that are shown.

    Args:
        trials: All finished trials; failed ones have no place in it.
        members: The front.
        objectives: What was wanted.
        path: The file; its suffix, .png or .svg, says in which form.

    Raises:
        UsageError: Another suffix.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix not in SUFFIXES:
        raise UsageError(f"a front is drawn as {' or '.join(SUFFIXES)}, got {path.name!r}")
    figure = Figure(figsize=(7.0, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    across, up = axes_of(objectives)
    _draw(axes, [t for t in trials if t.metrics], members, across, up)
    _label(axes, members, objectives, across, up)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw(axes: Axes, trials: Sequence[Trial], members: Sequence[Trial], across: Objective, up: Objective) -> None:
    x, y = _scaled(trials, across), _scaled(trials, up)
    axes.scatter(x, y, s=9, color="0.72", linewidths=0, label=f"{len(trials):,} trials", zorder=1)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        if _is_wide(values):
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    line = front(members, (up, across))
    line.sort(key=lambda trial: trial.metrics[across.metric])
    # Between two members one can have what the one on the cheaper side gives.
    where = "steps-post" if across.direction == "min" else "steps-pre"
    axes.plot(_scaled(line, across), _scaled(line, up), color="C0", drawstyle=where, linewidth=1.4, zorder=2)
    x, y = _scaled(members, across), _scaled(members, up)
    axes.scatter(x, y, s=22, color="C0", linewidths=0, label=f"front ({len(members)})", zorder=3)


def _scaled(trials: Sequence[Trial], objective: Objective) -> list[float]:
    factor = _LABELS.get(objective.metric, ("", 1.0))[1]
    return [trial.metrics[objective.metric] * factor for trial in trials]


def _label(
    axes: Axes, members: Sequence[Trial], objectives: Sequence[Objective], across: Objective, up: Objective
) -> None:
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import EngFormatter

    for axis, goal in ((axes.xaxis, across), (axes.yaxis, up)):
        arrow = "lower is better" if goal.direction == "min" else "higher is better"
        axis.set_label_text(f"{_LABELS.get(goal.metric, (goal.metric, 1.0))[0]}, {arrow}")
        if goal.metric in _COUNTS:
            axis.set_major_formatter(EngFormatter(sep=""))
    # Words go to the better side of both axes, where a front of these two has no trials.
    right, above = (-1 if across.direction == "min" else 1), (1 if up.direction == "max" else -1)
    for (digest, word), color in zip(_marks(members, objectives).items(), ("C3", "C2"), strict=False):
        trial = next(t for t in members if t.arch.digest == digest)
        x, y = _scaled([trial], across)[0], _scaled([trial], up)[0]
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
