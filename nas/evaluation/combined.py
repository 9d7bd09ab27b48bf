"""Several evaluators as one."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import UsageError
from nas.evaluation.evaluator import Evaluator, Metrics
from nas.search_spaces import Architecture


class Combined:
    """All metrics of several evaluators; each must report metrics of its own.

    Args:
        evaluators: Run in order on the whole population.
    """

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self._evaluators = tuple(evaluators)

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """The metrics of all evaluators, merged.

        Raises:
            UsageError: Two evaluators report the same metric.
        """
        merged: list[Metrics] = [{} for _ in archs]
        for evaluator in self._evaluators:
            for into, metrics in zip(merged, evaluator.evaluate(archs), strict=True):
                if twice := into.keys() & metrics.keys():
                    raise UsageError(f"two evaluators report {sorted(twice)[0]!r}; keep one of them")
                into.update(metrics)
        return merged
