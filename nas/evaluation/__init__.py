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
    from nas.evaluation.proxy_evaluator import ProxyEvaluator
    from nas.evaluation.tabular.evaluator import TableEvaluator

__all__ = [
    "PARTIAL",
    "Combined",
    "Evaluator",
    "Failure",
    "Latency",
    "LatencyEvaluator",
    "Metrics",
    "Outcome",
    "ProxyEvaluator",
    "StreamingEvaluator",
    "SupernetEvaluator",
    "TableEvaluator",
    "Totals",
    "measure_latency",
]

_HOMES = {
    "Combined": "nas.evaluation.combined",
    "Latency": "nas.evaluation.latency",
    "LatencyEvaluator": "nas.evaluation.latency",
    "ProxyEvaluator": "nas.evaluation.proxy_evaluator",
    "SupernetEvaluator": "nas.evaluation.population.evaluator",
    "TableEvaluator": "nas.evaluation.tabular.evaluator",
    "measure_latency": "nas.evaluation.latency",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nas.evaluation' has no attribute {name!r}")
