"""Arrays in a NumPy .npz file, never with pickles."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.images.source import Images, Labels, Part, Source
from nas.errors import DataError
from nas.files import locate, reason

_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")


def read(path: str) -> Source:
    """Read `x_train`, `y_train`, `x_test`, `y_test`, or `x` and `y`, of which a fixed fifth becomes the test split.

    Images are square, [N, S, S], [N, S, S, C] or [N, C, S, S]: the two equal axes are height and width. They are
    uint8, or floats from 0 to 1, which become round(255 x). Labels are integers from 0, [N] or [N, 1]. An optional
    `class_names` (strings [K]) names the classes; without it there are as many as the highest training label plus one,
    called "0", "1", ..., and each must occur. Images are flipped in training where they have three channels.

    Raises:
        UsageError: The path is empty.
        DataError: The file is missing, corrupt or of another form.
    """
    file = locate(path, usage="npz:FILE.npz")
    arrays = read_arrays(file, (*_SPLIT, *_WHOLE, "class_names"))
    pairs = [_SPLIT[:2], _SPLIT[2:]] if _SPLIT[0] in arrays else [_WHOLE]
    missing = [name for pair in pairs for name in pair if name not in arrays]
    if missing:
        raise DataError(f"{_at(file)}: no array {missing[0]!r}; it needs {', '.join(_SPLIT)}, or x and y")
    names = _class_names(file, arrays, pairs[0][1])
    parts = [part(file, arrays, *pair, classes=len(names)) for pair in pairs]
    return source(file, parts, names, flip=parts[0].images.shape[1] == 3)


def source(file: Path, parts: list[Part], class_names: tuple[str, ...], *, flip: bool) -> Source:
    """A source of one or two parts.

    Raises:
        DataError: Their images have different shapes.
    """
    if len(parts) == 1:
        return Source(parts[0], None, class_names, flip)
    training, test = parts
    if training.images.shape[1:] != test.images.shape[1:]:
        shapes = f"{training.images.shape[1:]} in x_train, {test.images.shape[1:]} in x_test"
        raise DataError(f"{_at(file)}: the images must all have one shape [C, H, W], got {shapes}")
    return Source(training, test, class_names, flip)


def read_arrays(file: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The arrays with these names that the file has.

    Raises:
        DataError: The file is no .npz, is truncated or corrupt, or an array holds Python objects.
    """
    found: dict[str, NDArray[Any]] = {}
    try:
        # Opened here: the library leaves a file open that it cannot read.
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{_at(file)} is one array, not an .npz file; save it with numpy.savez")
            found = {name: archive[name] for name in names if name in archive}
    except ValueError as error:
        if "pickle" not in str(error):
            raise DataError(f"{_at(file)} is truncated or no .npz file: {reason(error)}") from error
        raise DataError(
            f"{_at(file)} is truncated or no .npz file, or holds Python objects, which are never read; "
            "save plain arrays with numpy.savez"
        ) from error
    # RuntimeError: an archive that is encrypted, or of a version or method that the library does not know.
    except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise DataError(f"{_at(file)} is truncated or no .npz file: {reason(error)}") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise DataError(f"{_at(file)}: {name!r} is no NumPy array")
    return found


def part(file: Path, arrays: Mapping[str, NDArray[Any]], x: str, y: str, *, classes: int) -> Part:
    """The images `x` and labels `y`.

    Raises:
        DataError: A wrong dtype or shape, a value that is not allowed, or numbers of images and labels that differ.
    """
    images = _images(arrays[x], f"{_at(file)}: {x}")
    labels = _labels(arrays[y], f"{_at(file)}: {y}")
    if len(images) != len(labels):
        raise DataError(f"{_at(file)}: {len(images)} images in {x}, but {len(labels)} labels in {y}")
    if len(images) == 0:
        raise DataError(f"{_at(file)}: {x} is empty")
    for at, label in ((int(labels.argmin()), int(labels.min())), (int(labels.argmax()), int(labels.max()))):
        if not 0 <= label < classes:
            raise DataError(f"{_at(file)}: {y}[{at}] is {label}, but labels must be 0 to {classes - 1}")
    return Part(images, labels.astype(np.int64))


def _images(array: NDArray[Any], what: str) -> Images:
    """[N, S, S], [N, S, S, C] or [N, C, S, S] of uint8 or floats in 0..1 -> uint8 [N, C, S, S]."""
    shape = array.shape
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and shape[1] == shape[2] == shape[3]:
        raise DataError(f"{what} has the shape {shape}, in which the channels cannot be told from the sides")
    elif array.ndim == 4 and shape[1] == shape[2]:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[2] != array.shape[3] or 0 in array.shape[1:]:
        raise DataError(f"{what} has the shape {shape}; square images [N, S, S], [N, S, S, C] or [N, C, S, S] needed")
    if array.dtype.kind == "f":
        array = _from_floats(array, what)
    if array.dtype != np.uint8:
        raise DataError(f"{what} has the dtype {array.dtype}; save the images as uint8, or as floats from 0 to 1")
    return np.ascontiguousarray(array)


def _from_floats(array: NDArray[Any], what: str) -> Images:
    """Floats in 0..1 [N, ...] -> round(255 x)."""
    out = np.empty(array.shape, dtype=np.uint8)
    for i, image in enumerate(array):
        # Written so that NaN fails it.
        if not (image.min() >= 0 and image.max() <= 1):
            got = f"from {image.min():g} to {image.max():g}" if np.isfinite(image).all() else "NaN or infinite"
            raise DataError(f"{what}[{i}] has values {got}; floats must be 0 to 1, or save the images as uint8")
        out[i] = np.rint(image.astype(np.float64) * 255)
    return out


def _labels(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{what} must be integers [N], got {array.dtype} {list(array.shape)}")
    return array


def _class_names(file: Path, arrays: Mapping[str, NDArray[Any]], y: str) -> tuple[str, ...]:
    """The names in the file, or "0", "1", ... up to the highest label of `y`."""
    if "class_names" in arrays:
        given = arrays["class_names"]
        if given.dtype.kind != "U" or given.ndim != 1 or len(set(given.tolist())) < max(2, len(given)):
            got = f"{given.dtype} {list(given.shape)}"
            raise DataError(f"{_at(file)}: class_names must be two or more different strings [K], got {got}")
        return tuple(given.tolist())
    labels: Labels = np.unique(_labels(arrays[y], f"{_at(file)}: {y}"))
    if len(labels) < 2:
        raise DataError(f"{_at(file)}: {y} has {len(labels)} classes; two are needed")
    if labels[0] < 0:
        raise DataError(f"{_at(file)}: {y} has the label {labels[0]}; labels must be 0 or more")
    gaps = labels != np.arange(len(labels))
    if gaps.any():
        absent = int(np.argmax(gaps))
        raise DataError(
            f"{_at(file)}: {y} goes up to {labels[-1]}, but no label is {absent}; number the classes 0, 1, ... or add "
            "class_names"
        )
    return tuple(str(label) for label in range(len(labels)))


def _at(file: Path) -> str:
    return repr(str(file))
