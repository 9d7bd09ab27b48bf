from __future__ import annotations

from collections.abc import Sequence

import pytest

from nas.errors import UsageError
from nas.evaluation import Combined
from nas.evaluation.evaluator import Metrics
from nas.search_spaces import Architecture
from tests.spaces import SPACES


class Fixed:
    def __init__(self, **metrics: float) -> None:
        self.metrics = metrics

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        return [dict(self.metrics) for _ in archs]


def test_metrics_are_merged() -> None:
    archs = [SPACES["learned"].largest(), SPACES["learned"].smallest()]
    assert (
        Combined([Fixed(accuracy=0.5), Fixed(latency_ms=2.0)]).evaluate(archs)
        == [{"accuracy": 0.5, "latency_ms": 2.0}] * 2
    )


def test_the_same_metric_twice_is_an_error() -> None:
    with pytest.raises(UsageError, match="'accuracy'"):
        Combined([Fixed(accuracy=0.5), Fixed(accuracy=0.6)]).evaluate([SPACES["learned"].largest()])
