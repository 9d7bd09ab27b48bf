"""What can be chosen: spaces, architectures, exact costs and sampling inside budgets. Needs no torch."""

from __future__ import annotations

import json
from typing import Any

from nas.errors import UsageError
from nas.search_spaces.architecture import Architecture, Value
from nas.search_spaces.cells.nasbench201 import NasBench201Space
from nas.search_spaces.cost_terms import CostTerm, tabulated
from nas.search_spaces.gene import ABSENT, Gene, Indices
from nas.search_spaces.metrics import COST_NAMES, COSTS, budgets
from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.search_spaces.registry import FAMILIES, Family, family, resolve
from nas.search_spaces.space import Cost, SearchSpace
from nas.search_spaces.transformers.flexibert import FlexiBertSpace
from nas.task import Task

__all__ = [
    "ABSENT",
    "COSTS",
    "COST_NAMES",
    "FAMILIES",
    "Architecture",
    "Cost",
    "CostTerm",
    "Family",
    "FlexiBertSpace",
    "Gene",
    "Indices",
    "MobileNetSpace",
    "NasBench201Space",
    "SearchSpace",
    "Value",
    "budgets",
    "family",
    "from_json",
    "get",
    "resolve",
    "tabulated",
]


def get(name: str, *, task: Task | None = None, preset: str | None = None) -> SearchSpace:
    """The space called `name`, made for one task.

    Args:
        name: A key of `FAMILIES`.
        task: What its networks take and give; None takes that of the space's own benchmark.
        preset: A ready-made configuration; None takes the space's own default, which may follow the task.

    Raises:
        UnknownName: No such space or preset.
        UsageError: The space cannot take this task, or has none of its own.
    """
    built: SearchSpace = resolve(family(name).build)(task, preset)
    return built


def from_json(document: dict[str, Any] | str) -> SearchSpace:
    """The space that `SearchSpace.to_json` described.

    Raises:
        UnknownName: A space that this version does not know.
        UsageError: The document is of another form.
    """
    try:
        data = json.loads(document) if isinstance(document, str) else document
    except json.JSONDecodeError as error:
        raise UsageError(f"the description of a space is not JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise UsageError('a space is a JSON object {"name": ..., "config": {...}}')
    read: SearchSpace = resolve(family(data["name"]).space).from_json(data)
    return read
