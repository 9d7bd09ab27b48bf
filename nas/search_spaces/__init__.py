"""What can be chosen: spaces, architectures, exact costs and sampling inside budgets. Needs no torch."""

from __future__ import annotations

import json
from typing import Any

from nas.errors import UnknownName, UsageError
from nas.search_spaces import mobilenet_presets
from nas.search_spaces.architecture import Architecture, Value
from nas.search_spaces.goals import METRICS, Constraint, Direction, Objective
from nas.search_spaces.mobilenet import MobileNetSpace
from nas.search_spaces.space import ABSENT, Cost, Gene, Indices, SearchSpace

__all__ = [
    "ABSENT",
    "METRICS",
    "SPACES",
    "Architecture",
    "Constraint",
    "Cost",
    "Direction",
    "Gene",
    "Indices",
    "MobileNetSpace",
    "Objective",
    "SearchSpace",
    "Value",
    "from_json",
    "get",
]

SPACES = {"mobilenet": mobilenet_presets.build}
_READERS = {"mobilenet": MobileNetSpace.from_json}


def get(name: str, *, input_size: int, in_channels: int, num_classes: int, preset: str | None = None) -> SearchSpace:
    """The space called `name`, made for one task.

    Args:
        name: A key of `SPACES`.
        input_size: Height and width of the images.
        in_channels: Their channels.
        num_classes: Number of classes.
        preset: A ready-made configuration; None chooses by the image size.

    Raises:
        UnknownName: No such space or preset.
        UsageError: A count is not positive or the images are too small.
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
