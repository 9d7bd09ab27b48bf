"""Supernets on disk: `supernet.safetensors` with the weights, `supernet.json` with all that gives them meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data import Preprocessing, preprocessing_from_json
from nas.errors import CheckpointError, NasError, UsageError
from nas.files import check_digest, load_weights, object_in, read_document, reason, replacing, save_tensors, write_json
from nas.search_spaces import SearchSpace, family, from_json, resolve
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
        UsageError: This kind of space has none.
    """
    return _builder(space.name)(space, seed=seed)


def rebuild(description: Mapping[str, Any]) -> Supernet:
    """A supernet like the one that `Supernet.describe` described, for its weights to be loaded into.

    Args:
        description: What `describe` gave, perhaps among other things.

    Raises:
        KeyError: A part is missing.
        UnknownName: A kind that this version does not know.
        UsageError: The description is of another form.
    """
    return _builder(str(description["kind"]))(from_json(description["space"]), seed=0)


def check_shared(space: str) -> None:
    """Refuse a space, by its name, whose networks share no weights, before anything is done for it.

    Raises:
        UsageError: Says what can be done with it.
    """
    _builder(space)


def _builder(kind: str) -> Callable[..., Supernet]:
    name = family(kind).supernet
    if name is None:
        raise UsageError(
            f"space {kind!r} has stand-alone networks only, no supernet to train or search; score them with a "
            "proxy (--objective gradsign), or take --space mobilenet"
        )
    found: Callable[..., Supernet] = resolve(name)
    return found


def save(directory: Path, supernet: Supernet, *, preprocessing: Preprocessing, recipe: Mapping[str, Any]) -> str:
    """Write both files by atomic rename, the document last; returns the digest of the weights."""
    with replacing(directory / WEIGHTS) as temporary:
        digest = save_tensors(temporary, supernet.state_dict(), form=FORMAT)
        (directory / DOCUMENT).unlink(missing_ok=True)  # it does not fit the new weights
    content = {
        "format": FORMAT,
        **supernet.describe(),
        "preprocessing": preprocessing.to_json(),
        "recipe": dict(recipe),
        "weights": digest,
    }
    write_json(directory / DOCUMENT, content)
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
    check_digest(directory / WEIGHTS, document.get("weights"), again="train again")
    try:
        supernet = rebuild(document)
        load_weights(supernet, directory / WEIGHTS)
        preprocessing = preprocessing_from_json(document["preprocessing"])
    except (KeyError, NasError) as error:
        raise CheckpointError(f"{directory}: not a supernet of this version ({reason(error)})") from None
    recipe, digest = object_in(document, "recipe", directory / DOCUMENT), str(document["weights"])
    return StoredSupernet(supernet.eval(), preprocessing, recipe, digest)
