"""Files that appear whole or not at all, and reads that run no code from what they find. Needs no torch to import."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import stat
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import CheckpointError, DataError, NasError, UsageError, WriteError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

DATA_FOLDER = "NAS_DATA_DIR"  # the environment variable with the folder that relative paths of data start from


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str = "", durable: bool = True) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place when the block ends without an error.

    A reader, and whoever comes after a kill, finds what was there before or all of what the block wrote. The file has
    the mode of any new file, whoever wrote it. After an error the temporary file is gone and `path` is untouched.

    Args:
        path: The file; its folder is created if missing.
        suffix: How the temporary name ends, for writers that read a format from it.
        durable: Wait until the content is on the disk, so that the name outlives no content when the power fails.

    Raises:
        WriteError: The disk is full, the folder cannot be written, or `path` is a folder; names `path`.
    """
    temporary = _beside(path, suffix)
    with _naming(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = stat.S_IMODE(temporary.stat().st_mode)
            yield temporary
            temporary.chmod(mode)  # safetensors writes for its owner alone
            if durable:
                with temporary.open("r+b") as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path, *, own: Collection[str]) -> Iterator[Path]:
    """The same for a folder: a temporary one beside `path`, which takes its place when the block ends without an error.

    Args:
        path: The folder.
        own: The names that it may hold; a folder with any other is never replaced.

    Raises:
        WriteError: As in `replacing`, or `path` is a file or holds something else.
    """
    temporary, old = _beside(path, ""), _beside(path, ".old")
    with _naming(path, temporary):
        if path.exists() and (not path.is_dir() or any(file.name not in own for file in path.iterdir())):
            raise WriteError(path, "it already holds something else; choose another path")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            yield temporary
            if path.exists():
                os.replace(path, old)
            try:
                os.replace(temporary, path)
            except OSError:
                if old.exists():
                    os.replace(old, path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file that appears complete or not at all; see `replacing`."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write UTF-8 text that appears complete or not at all; see `replacing`."""
    write_bytes(path, text.encode(), durable=durable)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document for people and programs: indented, every number finite; see `replacing`.

    Raises:
        ValueError: A number is not finite.
    """
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, form: str) -> str:
    """Write tensors as safetensors; see `replacing`.

    Args:
        path: The file.
        tensors: By name, on any device.
        form: The format that its metadata name.

    Returns:
        The file's digest.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata={"format": form})
        except SafetensorError as error:
            raise _cannot_write(path, error) from error
        return file_digest(temporary)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values in torch's format, for `read_state`; see `replacing`."""
    import torch

    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # on a failed write torch still tries to end its archive, which fails too
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{suffix}")


@contextlib.contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """Failures of the temporary file or folder as failures of `path`; those of other files pass."""
    try:
        yield
    except WriteError as error:
        if temporary not in (error.path, *error.path.parents):
            raise
        raise WriteError(path / error.path.relative_to(temporary), error.why) from error
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else temporary
        if named not in (path, temporary, *path.parents) and temporary not in named.parents:
            raise
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: Exception) -> WriteError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
    return WriteError(path, f"{why}; free some space there or choose another place, then run it again")


def read_json(path: Path, *, failure: type[NasError], hint: str) -> Any:
    """What a JSON file holds.

    Args:
        path: An existing file.
        failure: The class of the error.
        hint: What to do about it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise failure(f"{path}: not valid JSON ({reason(error)}); {hint}") from None


def read_document(path: Path, form: str, what: str, *, again: str) -> dict[str, Any]:
    """A JSON object of the given format.

    Args:
        path: An existing file.
        form: What its "format" must be.
        what: What it should be, for messages.
        again: How to make it again, for messages.

    Raises:
        CheckpointError: It is something else.
    """
    document = read_json(path, failure=CheckpointError, hint=again)
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


def check_digest(path: Path, digest: object, *, again: str) -> None:
    """Refuse a file that is not the one whose digest was written down.

    Raises:
        CheckpointError: It is missing, truncated or another one; `again` says how to make it again.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: the weights are missing; {again}")
    if file_digest(path) != digest:
        raise CheckpointError(f"{path}: truncated or changed since it was written; {again}")


def load_weights(module: nn.Module, path: Path) -> None:
    """Copy a safetensors file into a module that it fits exactly.

    Raises:
        CheckpointError: The file is damaged; or names the first tensor that is missing, unexpected or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored, wanted = load_file(path), module.state_dict()
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({reason(error)})") from None
    for name in [*wanted, *stored]:
        have, want = (tuple(t[name].shape) if name in t else None for t in (stored, wanted))
        if have != want:
            raise CheckpointError(f"{path}: tensor {name!r} has shape {have}, expected {want}")
    module.load_state_dict(stored)


def read_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Load what `save_state` wrote; only tensors and plain values are accepted.

    Raises:
        CheckpointError: The file is missing, truncated or holds something else.
    """
    import torch

    if not path.exists():
        raise CheckpointError(f"{path}: no such checkpoint; start without --resume")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({reason(error)[:120]}); train again") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not a training state")
    return state


def file_digest(path: Path) -> str:
    """Sixteen hexadecimal digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def data_folder() -> Path | None:
    """The folder that NAS_DATA_DIR names; None where it is not set."""
    folder = os.environ.get(DATA_FOLDER)
    return Path(folder).expanduser() if folder else None


def locate(path: str, *, usage: str) -> Path:
    """The file or folder that a spec of data names.

    Args:
        path: What stood after the colon. A relative path that does not exist is tried under NAS_DATA_DIR.
        usage: How the spec is written, for the error.

    Raises:
        UsageError: The path is empty.
        DataError: Nothing is there.
    """
    if not path:
        raise UsageError(f"the data set needs a path: write {usage}")
    here, folder = Path(path).expanduser(), data_folder()
    if here.exists():
        return here
    if folder is None or here.is_absolute():
        hint = "" if here.is_absolute() else f"; set {DATA_FOLDER} to the folder that relative paths start from"
        raise DataError(f"{str(here)!r} does not exist{hint}")
    if not (folder / here).exists():
        raise DataError(f"{str(here)!r} does not exist, neither here nor under {DATA_FOLDER} ({str(folder)!r})")
    return folder / here


def reason(error: BaseException) -> str:
    """The first line of a library's error, or its class where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
