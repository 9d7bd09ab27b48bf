"""What is searched or trained: a data set, and the space made for its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.search_spaces import SearchSpace


def load_problem(
    space: str | SearchSpace | None, data: str | Dataset | None, *, preset: str | None = None,
    train_images: int | None = None, shared: bool = False,
) -> tuple[Dataset, SearchSpace]:  # fmt: skip
    """The data set, and the space made for its task.

    Args:
        space: A name or a space.
        data: What `nas.data.load` takes, or a data set.
        preset: Of the space; None takes the space's own default.
        train_images: Keep so many rows of the train split; None keeps all.
        shared: Whether the space's networks have to share weights.

    Raises:
        UsageError: One of them is missing, a setting is given for what is there already, or weights are not shared.
        UnknownName: No such space, preset or kind of data.
        DataError: The data are missing or damaged.
    """
    from nas import search_spaces
    from nas.data import load
    from nas.supernets import check_shared

    if space is None or data is None:
        missing = "--space" if space is None else "--data"
        raise UsageError(f"{missing} is missing; for example: nas search --space mobilenet --data digits")
    if isinstance(space, str):
        search_spaces.family(space)  # before a big data set is read
        if shared:
            check_shared(space)
    elif preset is not None:
        raise UsageError(f"preset {preset!r} has no place beside a space that is made already; leave it out")
    if not isinstance(data, str) and train_images is not None:
        raise UsageError("train_images has no place beside data that are loaded already; leave it out")
    loaded = load(data, train_images=train_images) if isinstance(data, str) else data
    made = search_spaces.get(space, task=loaded.task, preset=preset) if isinstance(space, str) else space
    made.task.require(loaded.task, what="the data")
    return loaded, made
