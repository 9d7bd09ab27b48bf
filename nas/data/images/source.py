"""What a reader of a data set hands over, and how it finds its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError, UsageError

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 [N, C, S, S] with labels int64 [N]."""

    images: Images
    labels: Labels


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it was published, before we split it.

    Args:
        training: The training part, or everything where the set has no test part.
        test: The test part, images of the same shape; None where the set has none.
        class_names: One name a class.
        flip: Whether a mirrored image keeps its class.
    """

    training: Part
    test: Part | None
    class_names: tuple[str, ...]
    flip: bool


def locate(path: str, *, usage: str) -> Path:
    """The file or folder that a spec names.

    Args:
        path: What stood after the colon. A relative path that does not exist is tried under NAS_DATA_DIR.
        usage: How the spec is written, for the error.

    Raises:
        UsageError: The path is empty.
        DataError: Nothing is there.
    """
    if not path:
        raise UsageError(f"the data set needs a path: write {usage}")
    found = Path(path).expanduser()
    if found.exists():
        return found
    folder = os.environ.get("NAS_DATA_DIR")
    if not folder or found.is_absolute():
        hint = "" if found.is_absolute() else "; set NAS_DATA_DIR to the folder that relative paths start from"
        raise DataError(f"{str(found)!r} does not exist{hint}")
    below = Path(folder).expanduser() / found
    if not below.exists():
        raise DataError(f"{str(found)!r} does not exist, neither here nor under NAS_DATA_DIR ({folder!r})")
    return below


def reason(error: BaseException) -> str:
    """The text of a library's error on one line."""
    return " ".join(str(error).split()) or type(error).__name__
