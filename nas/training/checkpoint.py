"""Training state on disk: written whole or not at all, and read without running code."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nas.errors import CheckpointError


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors and plain values under `path` by atomic rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(dict(state), temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Load what `write` saved; only tensors and plain values are accepted.

    Raises:
        CheckpointError: The file is missing, truncated or holds something else.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint; start without --resume")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason[:120]}); train again") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not a training state")
    return state


def check_same(path: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that belongs to another training.

    Raises:
        CheckpointError: Names the first setting that differs, and both values.
    """
    for name, value in expected.items():
        if found.get(name) != value:
            raise CheckpointError(
                f"{path}: was trained with {name}={found.get(name)!r}, now it is {value!r}; "
                "use the same settings, or train again without --resume"
            )
