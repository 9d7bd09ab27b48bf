"""From architectures to metrics.

The names that need torch are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nas.evaluation.evaluator import PARTIAL, Evaluator, Failure, Metrics, Outcome, StreamingEvaluator
from nas.evaluation.totals import Totals

if TYPE_CHECKING:
    from nas.evaluation.combined import Combined
    from nas.evaluation.latency import Latency, LatencyEvaluator, measure_latency
    from nas.evaluation.population.evaluator import SupernetEvaluator

__all__ = [
    "PARTIAL",
    "Combined",
    "Evaluator",
    "Failure",
    "Latency",
    "LatencyEvaluator",
    "Metrics",
    "Outcome",
    "StreamingEvaluator",
    "SupernetEvaluator",
    "Totals",
    "measure_latency",
]

_HOMES = {
    "Combined": "nas.evaluation.combined",
    "Latency": "nas.evaluation.latency",
    "LatencyEvaluator": "nas.evaluation.latency",
    "SupernetEvaluator": "nas.evaluation.population.evaluator",
    "measure_latency": "nas.evaluation.latency",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nas.evaluation' has no attribute {name!r}")
