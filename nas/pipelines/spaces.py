"""Every preset of every space: its exact size, its choices and the range of its costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.search_spaces import SearchSpace
    from nas.task import Task


class Listed(NamedTuple):
    """A preset with the task that it is shown with."""

    space: str
    preset: str
    summary: str
    task: Task


def spaces(numbers: Mapping[str, int] | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """The search spaces as documents.

    Args:
        numbers: Fields of tasks that presets are fitted to, such as {"size": 32, "channels": 3, "classes": 10}; a task
            without one of them keeps its own. None: the presets' own tasks.

    Returns:
        One document a preset, and why others are left out.
    """
    rows, refused = list[dict[str, Any]](), list[str]()
    for listed in presets():
        try:
            rows.append(describe(listed._replace(task=listed.task.with_fields(numbers or {}))))
        except UsageError as error:
            refused.append(f"{listed.space} --preset {listed.preset} is left out: {error}")
    return rows, refused


def presets() -> list[Listed]:
    """Every preset of every space, with its own task."""
    from nas.search_spaces import FAMILIES, resolve

    return [
        Listed(space, name, preset.summary, preset.task)
        for space, family in FAMILIES.items()
        for name, preset in resolve(family.presets).items()
    ]


def describe(listed: Listed) -> dict[str, Any]:
    """One preset as a document; `size` is an exact integer."""
    from nas.search_spaces import get

    space = get(listed.space, task=listed.task, preset=listed.preset)
    return {
        "space": listed.space,
        "preset": listed.preset,
        "summary": listed.summary,
        "task": listed.task.to_json(),
        "shown_for": str(listed.task),
        "size": space.size,
        "params": list(space.cost_range("params")),
        "macs": list(space.cost_range("macs")),
        "choices": choices(space),
        "kinds": {gene.name: gene.kind for gene in space.genes},
    }


def choices(space: SearchSpace) -> dict[str, list[Any]]:
    """The choices of every gene."""
    return {gene.name: list(gene.choices) for gene in space.genes}
