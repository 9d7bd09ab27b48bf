"""Train one supernet once, find the sub-network that fits each device, export a plain checkpoint.

Names are resolved on first use: `import nas` alone loads neither torch nor optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas import (
        cluster,
        data,
        errors,
        evaluation,
        objectives,
        pipelines,
        proxies,
        reports,
        search_spaces,
        searchers,
        supernets,
        task,
        testing,
        training,
    )
    from nas.exporting import export, load
    from nas.pipelines.evaluate import evaluate
    from nas.pipelines.finetune import finetune
    from nas.pipelines.profile import profile
    from nas.pipelines.search import search
    from nas.pipelines.train import train
    from nas.study import Study

__version__ = "0.1.0"

__all__ = [
    "Study",
    "__version__",
    "cluster",
    "data",
    "errors",
    "evaluate",
    "evaluation",
    "export",
    "finetune",
    "load",
    "objectives",
    "pipelines",
    "profile",
    "proxies",
    "reports",
    "search",
    "search_spaces",
    "searchers",
    "supernets",
    "task",
    "testing",
    "train",
    "training",
]

_HOMES = {
    "Study": "nas.study",
    "evaluate": "nas.pipelines.evaluate",
    "export": "nas.exporting",
    "finetune": "nas.pipelines.finetune",
    "load": "nas.exporting",
    "profile": "nas.pipelines.profile",
    "search": "nas.pipelines.search",
    "train": "nas.pipelines.train",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"nas.{name}")
    raise AttributeError(f"module 'nas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
