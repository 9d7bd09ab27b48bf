"""Supernets on disk: `supernet.safetensors` with the weights, `supernet.json` with all that gives them meaning."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nas.data import Preprocessing
from nas.errors import CheckpointError, NasError
from nas.search_spaces import MobileNetSpace, SearchSpace, from_json
from nas.supernets.mobilenet import MobileNetSupernet
from nas.supernets.supernet import Supernet

FORMAT = "nas-supernet-1"
WEIGHTS, DOCUMENT = "supernet.safetensors", "supernet.json"


@dataclass(frozen=True, slots=True)
class StoredSupernet:
    """A supernet as it was saved.

    Args:
        supernet: The shared weights, in eval mode on the CPU.
        preprocessing: How its images are normalised, and its class names.
        recipe: How it was trained: plain values.
        digest: Sixteen hexadecimal digits of the weights file.
    """

    supernet: Supernet
    preprocessing: Preprocessing
    recipe: Mapping[str, Any]
    digest: str


def build(space: SearchSpace, *, seed: int) -> Supernet:
    """A supernet with fresh weights for `space`.

    Raises:
        CheckpointError: No supernet exists for this kind of space.
    """
    if not isinstance(space, MobileNetSpace):
        raise CheckpointError(f"no supernet is built for spaces of kind {space.name!r}")
    return MobileNetSupernet(space, seed=seed)


def save(directory: Path, supernet: Supernet, *, preprocessing: Preprocessing, recipe: Mapping[str, Any]) -> str:
    """Write both files by atomic rename, the document last; returns the digest of the weights."""
    directory.mkdir(parents=True, exist_ok=True)
    weights, document = directory / WEIGHTS, directory / DOCUMENT
    temporary = directory / f".{WEIGHTS}.{os.getpid()}"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in supernet.state_dict().items()}
    try:
        save_file(tensors, temporary, metadata={"format": FORMAT})
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    digest = file_digest(temporary)
    content = {
        "format": FORMAT,
        "space": supernet.space.to_json(),
        "preprocessing": preprocessing.to_json(),
        "recipe": dict(recipe),
        "weights": digest,
    }
    document.unlink(missing_ok=True)
    os.replace(temporary, weights)
    temporary = directory / f".{DOCUMENT}.{os.getpid()}"
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, document)
    return digest


def load(directory: Path | str) -> StoredSupernet:
    """Read a saved supernet; runs no code from the files.

    Raises:
        CheckpointError: A file is missing, truncated, or not of this format; weights that do not fit the document.
    """
    directory = Path(directory)
    document = _document(directory / DOCUMENT)
    path = directory / WEIGHTS
    if not path.exists():
        raise CheckpointError(f"{path}: the weights are missing; train again")
    digest = file_digest(path)
    if digest != document.get("weights"):
        raise CheckpointError(f"{path}: truncated or changed since it was saved (digest {digest}); train again")
    try:
        supernet = build(from_json(document["space"]), seed=0)
        supernet.load_state_dict(load_file(path))
        preprocessing = Preprocessing.from_json(document["preprocessing"])
    except (SafetensorError, RuntimeError, KeyError, NasError) as error:
        raise CheckpointError(f"{directory}: not a supernet of this version ({str(error).splitlines()[0]})") from None
    return StoredSupernet(supernet.eval(), preprocessing, document.get("recipe", {}), digest)


def _document(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(f"{path}: no supernet here; make one with 'nas train --out {path.parent.parent}'")
    try:
        document = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise CheckpointError(f"{path}: not valid JSON; train again") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a supernet's description (expected format {FORMAT!r})")
    return document


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
