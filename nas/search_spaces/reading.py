"""What readers of spaces share: the parts of a description, and whether its task is of the right kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nas import task as tasks
from nas.errors import UsageError
from nas.search_spaces.space import SearchSpace
from nas.task import Task

C = TypeVar("C")
T = TypeVar("T", bound=Task)


def require_kind(space: str, task: Task | None, kind: type[T]) -> T:
    """The task, if it is of the kind that a space is for.

    Raises:
        UsageError: There is none, or it is of another kind.
    """
    if task is None:
        raise UsageError(f"space {space!r} is for any {kind.__name__} and has none of its own; give it one as task=...")
    if not isinstance(task, kind):
        raise UsageError(f"space {space!r} is for {kind.__name__}, and these are {task}")
    return task


def read_description(
    space: type[SearchSpace], document: Mapping[str, Any], config: Callable[[Any], C], kind: type[T]
) -> tuple[C, T, str]:
    """What every description of a space has: the configuration, the task and the preset.

    Args:
        space: The class of the space.
        document: What its `to_json` wrote.
        config: Builds the configuration from what stands under "config".
        kind: The task that the space is for.

    Raises:
        UsageError: The document is of another form or version, or its task of another kind.
    """
    if document.get("version") != space.version:
        other = document.get("version")
        raise UsageError(f"space {space.name!r} has version {space.version}, the file has {other!r}")
    try:
        built = config(document["config"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"not the description of a {space.name} space: {error}") from None
    task = require_kind(space.name, tasks.from_json(document.get("task")), kind)
    return built, task, str(document.get("preset", "custom"))
