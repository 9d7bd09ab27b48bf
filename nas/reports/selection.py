"""Which trials a search is about: the feasible ones, the front, its best and its knee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.evaluation import PARTIAL
from nas.objectives import Constraint, Objective
from nas.searchers import Trial, pareto

WIDE = 1e4  # largest over least value from which an axis is logarithmic


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
        if is_wide(values.tolist()):
            column[:] = np.log(values) * objective.as_minimised(1.0)
    return members[pareto.knee(points)]


def is_wide(values: Sequence[float]) -> bool:
    """Whether an axis of these values is logarithmic; some scores span tens of powers of ten."""
    return len(values) > 0 and min(values) > 0 and max(values) > WIDE * min(values)


def _points(trials: Sequence[Trial], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """[N, M], every objective minimised."""
    return np.array([[o.as_minimised(t.metrics[o.metric]) for o in objectives] for t in trials], dtype=np.float64)


def marks(members: Sequence[Trial], objectives: Sequence[Objective]) -> dict[str, str]:
    """The words "best", "knee" or "best, knee" by digest."""
    out = dict[str, str]()
    for word, trial in (("best", best(members, objectives)), ("knee", knee(members, objectives))):
        if trial is not None:
            out[trial.arch.digest] = f"{out[trial.arch.digest]}, {word}" if trial.arch.digest in out else word
    return out
