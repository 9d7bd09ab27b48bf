"""What can be chosen: spaces, architectures, exact costs and sampling inside budgets. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nas.errors import UnknownName, UsageError
from nas.search_spaces.architecture import Architecture, Value
from nas.search_spaces.cells import nasbench201
from nas.search_spaces.cells.nasbench201 import NasBench201Space
from nas.search_spaces.cost_terms import CostTerm, tabulated
from nas.search_spaces.gene import ABSENT, Gene, Indices
from nas.search_spaces.metrics import COST_NAMES, COSTS, budgets
from nas.search_spaces.mobilenet import presets
from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.search_spaces.space import Cost, SearchSpace
from nas.search_spaces.transformers import flexibert
from nas.search_spaces.transformers.flexibert import FlexiBertSpace

__all__ = [
    "ABSENT",
    "COSTS",
    "COST_NAMES",
    "SPACES",
    "Architecture",
    "Cost",
    "CostTerm",
    "FlexiBertSpace",
    "Gene",
    "Indices",
    "MobileNetSpace",
    "NasBench201Space",
    "SearchSpace",
    "Value",
    "budgets",
    "from_json",
    "get",
    "tabulated",
]

SPACES: dict[str, Callable[..., SearchSpace]] = {
    "mobilenet": presets.build,
    "nasbench201": nasbench201.build,
    "flexibert": flexibert.build,
}
_READERS: dict[str, Callable[[dict[str, Any]], SearchSpace]] = {
    "mobilenet": MobileNetSpace.from_json,
    "nasbench201": NasBench201Space.from_json,
    "flexibert": FlexiBertSpace.from_json,
}


def get(name: str, *, input_size: int, in_channels: int, num_classes: int, preset: str | None = None) -> SearchSpace:
    """The space called `name`, made for one task.

    Args:
        name: A key of `SPACES`.
        input_size: Height and width of the images; for texts the most tokens of a sequence.
        in_channels: Channels of the images; for texts the size of the vocabulary.
        num_classes: Number of classes.
        preset: A ready-made configuration; None takes the space's own default, which may follow the input size.

    Raises:
        UnknownName: No such space or preset.
        UsageError: A count is not positive, or the space cannot take images of this size.
    """
    if name not in SPACES:
        raise UnknownName("space", name, SPACES)
    return SPACES[name](input_size=input_size, in_channels=in_channels, num_classes=num_classes, preset=preset)


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
    if data["name"] not in _READERS:
        raise UnknownName("space", data["name"], _READERS)
    return _READERS[data["name"]](data)
