"""Whether a checkpoint belongs to a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import CheckpointError


def check_same(path: Path, expected: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that belongs to another training.

    Raises:
        CheckpointError: Names the first setting that differs, and both values.
    """
    for name, value in expected.items():
        if stored.get(name) != value:
            raise CheckpointError(
                f"{path}: was trained with {name}={stored.get(name)!r}, now it is {value!r}; "
                "use the same settings, or train again without --resume"
            )
