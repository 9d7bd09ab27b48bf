"""From architectures to metrics."""

from __future__ import annotations

from nas.evaluation.evaluator import Evaluator, Metrics

__all__ = ["Evaluator", "Metrics"]
