"""How well a score orders networks, measured so that a parameter count cannot hide behind it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, spearmanr

from nas.errors import UsageError
from nas.proxies.ranking import ordered

TOP = 0.1  # share of the best
DRAWS, DRAWN = 500, 100


@dataclass(frozen=True, slots=True)
class Agreement:
    """A score against a measured accuracy; None where something is constant and nothing can be said.

    Args:
        spearman: Rank correlation.
        kendall: Kendall's tau-b.
        partial_spearman: Spearman's correlation of what parameters do not explain.
        top_spearman: Spearman's among the most accurate tenth; None for fewer than 30 networks.
        best_of_100: Mean accuracy of what the score takes for the best of 100 networks, over 500 draws; None for fewer.
        not_finite: Networks that it could not score; they rank last.
    """

    spearman: float | None
    kendall: float | None
    partial_spearman: float | None
    top_spearman: float | None
    best_of_100: float | None
    not_finite: int


def agreement(scores: ArrayLike, accuracy: ArrayLike, params: ArrayLike, *, seed: int = 0) -> Agreement:
    """Compare scores with accuracies of the same networks.

    Args:
        scores: [n], higher is better; what is not finite ranks last.
        accuracy: [n], measured.
        params: [n].
        seed: Of the draws of 100.

    Raises:
        UsageError: Fewer than three networks, or lengths that differ.
    """
    values, truth, sizes = ordered(scores), np.asarray(accuracy, np.float64), np.asarray(params, np.float64)
    if len(values) < 3 or not len(values) == len(truth) == len(sizes):
        raise UsageError(f"a correlation needs at least 3 networks with all their values, got {len(values)}")
    top = np.argsort(-truth, kind="stable")[: round(TOP * len(truth))]
    rng, best_accuracies = np.random.default_rng(seed), list[float]()
    for _ in range(DRAWS if len(values) >= DRAWN else 0):
        drawn = rng.choice(len(values), DRAWN, replace=False)
        best = drawn[values[drawn] == values[drawn].max()]
        best_accuracies.append(float(truth[best].mean()))  # of equal scores any may be taken
    return Agreement(
        spearman=spearman(values, truth),
        kendall=_number(_quietly(kendalltau, values, truth)),
        partial_spearman=_partial(values, truth, sizes),
        top_spearman=spearman(values[top], truth[top]) if len(top) >= 3 else None,
        best_of_100=float(np.mean(best_accuracies)) if best_accuracies else None,
        not_finite=int((~np.isfinite(np.asarray(scores, np.float64))).sum()),
    )


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Rank correlation; None where one of them is constant."""
    return _number(_quietly(spearmanr, a, b))


def _partial(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> float | None:
    xy, xz, yz = spearman(x, y), spearman(x, z), spearman(y, z)
    if xy is None or xz is None or yz is None:
        return None
    left = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / math.sqrt(left) if left > 1e-12 else None


def _quietly(function: object, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant input: the answer is NaN, which we report as None
        return float(function(a, b).statistic)  # type: ignore[operator]  # scipy has no types here


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
