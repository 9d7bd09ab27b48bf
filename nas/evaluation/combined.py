"""Several evaluators as one."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import UsageError
from nas.evaluation.evaluator import Evaluator, Failure, Metrics, Outcome
from nas.search_spaces import Architecture


class Combined:
    """All metrics of several evaluators; each must report metrics of its own.

    Args:
        evaluators: Run in order on the whole population.
    """

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self._evaluators = tuple(evaluators)

    def evaluate(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """The metrics of all evaluators, merged; an architecture that fails in one fails.

        Raises:
            UsageError: Two evaluators report the same metric.
        """
        merged: list[Outcome] = [{} for _ in archs]
        for evaluator in self._evaluators:
            outcomes = evaluator.evaluate(archs)
            merged = [_joined(so_far, outcome) for so_far, outcome in zip(merged, outcomes, strict=True)]
        return merged


def _joined(a: Outcome, b: Outcome) -> Outcome:
    if isinstance(a, Failure) or isinstance(b, Failure):
        return a if isinstance(a, Failure) else b
    if twice := a.keys() & b.keys():
        raise UsageError(f"two evaluators report {sorted(twice)[0]!r}; keep one of them")
    return Metrics(a | b)
