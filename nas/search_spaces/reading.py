"""What readers of spaces share: the task in a description, and whether it is of the right kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from nas import task as tasks
from nas.errors import UsageError
from nas.task import Task

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


def task_of(document: Mapping[str, Any], kind: type[T]) -> T:
    """The task in the description of a space.

    Raises:
        UsageError: There is none, or it is of another form or kind.
    """
    return require_kind(str(document.get("name")), tasks.from_json(document.get("task")), kind)
