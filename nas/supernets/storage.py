"""Supernets on disk: `supernet.safetensors` with the weights, `supernet.json` with all that gives them meaning."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from nas.data import Preprocessing
from nas.errors import CheckpointError, NasError, UsageError
from nas.search_spaces import MobileNetSpace, SearchSpace, from_json
from nas.supernets.mobilenet.supernet import MobileNetSupernet
from nas.supernets.supernet import Supernet

FORMAT = "nas-supernet-1"
WEIGHTS, DOCUMENT = "supernet.safetensors", "supernet.json"
SUPERNETS: dict[type[SearchSpace], Callable[..., Supernet]] = {MobileNetSpace: MobileNetSupernet}


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
        UsageError: This kind of space has none.
    """
    return _builder(space)(space, seed=seed)


def check_shared(space: SearchSpace) -> None:
    """Refuse a space whose networks share no weights, before anything is done for it.

    Raises:
        UsageError: Says what can be done with it.
    """
    _builder(space)


def _builder(space: SearchSpace) -> Callable[..., Supernet]:
    if type(space) not in SUPERNETS:
        raise UsageError(
            f"space {space.name!r} has stand-alone networks only, no supernet to train or search; score them with a "
            "proxy (--objective gradsign), or take --space mobilenet"
        )
    return SUPERNETS[type(space)]


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
    shutil.copymode(document, weights)  # safetensors writes for its owner alone
    return digest


def load(directory: Path | str) -> StoredSupernet:
    """Read a saved supernet; runs no code from the files.

    Raises:
        CheckpointError: A file is missing, truncated, or not of this format; weights that do not fit the document.
    """
    directory = Path(directory)
    if not (directory / DOCUMENT).exists():
        raise CheckpointError(
            f"{directory / DOCUMENT}: no supernet here, only 'nas train' and a search without proxies or table make one"
        )
    document = read_document(directory / DOCUMENT, FORMAT, "a supernet's description", again="train again")
    path = directory / WEIGHTS
    if not path.exists():
        raise CheckpointError(f"{path}: the weights are missing; train again")
    digest = file_digest(path)
    if digest != document.get("weights"):
        raise CheckpointError(f"{path}: truncated or changed since it was saved (digest {digest}); train again")
    try:
        supernet = build(from_json(document["space"]), seed=0)
        load_weights(supernet, path)
        preprocessing = Preprocessing.from_json(document["preprocessing"])
    except (SafetensorError, KeyError, NasError) as error:
        raise CheckpointError(f"{directory}: not a supernet of this version ({str(error).splitlines()[0]})") from None
    return StoredSupernet(supernet.eval(), preprocessing, object_in(document, "recipe", directory / DOCUMENT), digest)


def read_document(path: Path, form: str, what: str, *, again: str) -> dict[str, Any]:
    """A JSON object of the given format.

    Args:
        path: The file.
        form: What its "format" must be.
        what: What it should be, for messages.
        again: How to make it again, for messages.

    Raises:
        CheckpointError: It is something else.
    """
    try:
        document = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise CheckpointError(f"{path}: not valid JSON; {again}") from None
    if not isinstance(document, dict) or document.get("format") != form:
        raise CheckpointError(f"{path}: not {what} (expected format {form!r})")
    return document


def object_in(document: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """The JSON object under `name`, or an empty one where there is none.

    Raises:
        CheckpointError: It is no object.
    """
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        raise CheckpointError(f"{path}: {name!r} must be an object, got {type(value).__name__}")
    return value or {}


def load_weights(module: nn.Module, path: Path) -> None:
    """Copy a safetensors file into a module that it fits exactly.

    Raises:
        CheckpointError: Names the first tensor that is missing, unexpected or of another shape.
        SafetensorError: The file is damaged.
    """
    found, wanted = load_file(path), module.state_dict()
    for name in [*wanted, *found]:
        have, want = (tuple(t[name].shape) if name in t else None for t in (found, wanted))
        if have != want:
            raise CheckpointError(f"{path}: tensor {name!r} has shape {have}, expected {want}")
    module.load_state_dict(found)


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
