"""Ranks, crowding, fronts and knees of points whose objectives are all minimised.

A point dominates another when it is nowhere larger and somewhere smaller; equal points do not dominate each other.
Values must be finite or inf, never NaN. Constrained dominance (Deb et al. 2002): a feasible point dominates every
infeasible one, and of two infeasible ones the smaller total violation does.
"""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]  # [N, M]
Positions = NDArray[np.int64]


def non_dominated_ranks(values: Values, violation: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """[N]: the front that each point is in, 0 for the points that none dominates.

    Args:
        values: [N, M], minimised.
        violation: [N], total constraint violation, 0 where feasible; None where there are no constraints. Infeasible
            points come after all feasible ones, one rank for each distinct violation.
    """
    infeasible = np.zeros(len(values), dtype=bool) if violation is None else violation > 0
    ranks = np.zeros(len(values), dtype=np.int64)
    feasible = values[~infeasible]
    ranks[~infeasible] = _ranks(feasible)
    if violation is not None and infeasible.any():
        _, order = np.unique(violation[infeasible], return_inverse=True)
        ranks[infeasible] = order.reshape(-1) + (ranks[~infeasible].max(initial=-1) + 1)
    return ranks


def ranks_by_peeling(values: Values) -> NDArray[np.int64]:
    """The reference: one [N, N] dominance matrix, then front after front is taken away."""
    no_larger = np.ones((len(values), len(values)), dtype=bool)
    for column in values.T:
        no_larger &= column[:, None] <= column[None, :]
    dominates = no_larger & ~no_larger.T
    dominators = np.count_nonzero(dominates, axis=0)
    ranks = np.full(len(values), -1, dtype=np.int64)
    rank = 0
    while (front := np.flatnonzero((dominators == 0) & (ranks < 0))).size:
        ranks[front] = rank
        dominators -= np.count_nonzero(dominates[front], axis=0)
        rank += 1
    return ranks


def _ranks(values: Values) -> NDArray[np.int64]:
    """`ranks_by_peeling` in C; moocore 0.3 ranks points with three objectives wrongly where one is infinite."""
    if len(values) == 0 or not np.isfinite(values).all():
        return ranks_by_peeling(values)
    return np.asarray(moocore.pareto_rank(values), dtype=np.int64)


def crowding_distance(values: Values, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """[N]: how far the neighbours within each point's own front are apart, all fronts at once (Deb et al. 2002).

    Per objective the distance between the next smaller and the next larger point of the front, divided by the front's
    range; the mean over objectives. The ends of each objective are infinitely far, so are fronts of one or two points.
    An objective that is constant on a front adds 0, for its ends too. Equal values are neighbours in order of position.

    Args:
        values: [N, M], minimised, finite.
        ranks: [N], the front of each point.
    """
    n, goals = values.shape
    total = np.zeros(n)
    if n == 0:
        return total
    sizes = np.bincount(ranks, minlength=1)
    for column in values.T:
        order = np.lexsort((column, ranks))  # stable
        front, ordered = ranks[order], column[order]
        starts = np.r_[True, front[1:] != front[:-1]]
        ends = np.r_[starts[1:], True]
        spread = (ordered[ends] - ordered[starts])[np.cumsum(starts) - 1]
        step = np.diff(ordered)
        gap = np.where(starts, np.inf, np.r_[0.0, step]) + np.where(ends, np.inf, np.r_[step, 0.0])
        total[order] += np.where(spread > 0, gap / np.where(spread > 0, spread, 1.0), 0.0)
    return np.where(sizes[ranks] <= 2, np.inf, total / goals)


def best_first(values: Values, violation: NDArray[np.float64] | None = None) -> Positions:
    """Positions ordered by rank, then by descending crowding distance; of equals the later position first."""
    ranks = non_dominated_ranks(values, violation)
    last_first = -np.arange(len(values))
    return np.asarray(np.lexsort((last_first, -crowding_distance(values, ranks), ranks)), dtype=np.int64)


def pareto_front(values: Values, violation: NDArray[np.float64] | None = None) -> Positions:
    """Ascending positions of the feasible points that none dominates; of equal points all.

    Args:
        values: [N, M], minimised.
        violation: [N], 0 where feasible; None where there are no constraints. Without a feasible point the front is
            empty.
    """
    feasible = np.arange(len(values)) if violation is None else np.flatnonzero(violation <= 0)
    inside = values[feasible]
    if len(inside) and np.isfinite(inside).all():
        return np.compress(moocore.is_nondominated(inside, keep_weakly=True), feasible)
    return np.compress(ranks_by_peeling(inside) == 0, feasible)


def hypervolume(values: Values, reference: NDArray[np.float64]) -> float:
    """The volume that the points dominate up to `reference`; points beyond it add nothing.

    Args:
        values: [N, M], minimised.
        reference: [M], a point that is worse than all of interest.
    """
    inside = values[(values < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def knee(values: Values) -> int:
    """The position of the best compromise: the front's member farthest from its chord, on the better side.

    Objectives are scaled to [0, 1] over the front. With two of them the chord joins the two ends, (0, 1) and (1, 0),
    and the distance to it is proportional to 1 minus the sum of the scaled values; with more it is the plane through
    the unit points. Where the whole front lies on the worse side of the chord, that is an end. Ties: the first.

    Args:
        values: [N, M], minimised, N >= 1; dominated points are left out.
    """
    front = pareto_front(values)
    low, high = values[front].min(axis=0), values[front].max(axis=0)
    scaled = (values[front] - low) / np.where(high > low, high - low, 1.0)
    return int(front[scaled.sum(axis=1).argmin()])
