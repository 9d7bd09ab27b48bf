"""Every line that touches Ray: pools of evaluators, and training on many workers. Ray loads when something starts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.cluster.pool import RayEvaluator

__all__ = ["RayEvaluator"]


def __getattr__(name: str) -> object:
    if name == "RayEvaluator":
        return import_module("nas.cluster.pool").RayEvaluator
    raise AttributeError(f"module 'nas.cluster' has no attribute {name!r}")
