"""CIFAR-10 (Krizhevsky 2009): class folders, a tar of them, or the official binary batches."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from nas.data.images import archive, class_folders, folder
from nas.data.images.decode import ImageCollector, image_names
from nas.data.images.source import Part, Source
from nas.errors import DataError
from nas.files import locate, reason

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_TRAINING = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = "test_batch.bin"
_NAMES = "batches.meta.txt"
_BINARY = (*_TRAINING, _TEST, _NAMES)
_PICKLE = re.compile(r"data_batch_\d+|test_batch|batches\.meta")


def read(path: str) -> Source:
    """Read CIFAR-10 from `path`.

    Args:
        path: A folder with train/<class> and test/<class>; a folder with the binary batches `data_batch_1.bin` ...
            and `test_batch.bin`, or with `cifar-10-batches-bin` in it; or a tar, also .xz, .gz or .bz2, of either,
            which is read without unpacking. The Python version of the batches is refused: reading pickles runs code.

    Raises:
        UsageError: The path is empty.
        DataError: Nothing of this form is there, or it is truncated, corrupt or no CIFAR-10.
    """
    found = locate(path, usage="cifar10:PATH")
    where = str(found)
    if not found.is_dir():
        _refuse_pickle(where, found.name)
        source = _from_members(where, archive.members(found))
    else:
        unpacked = found / "cifar-10-batches-bin"
        source = _from_folder(unpacked if unpacked.is_dir() else found)
    if len(source.class_names) != len(CLASSES) or source.training.images.shape[1:] != _SHAPE:
        got = f"{len(source.class_names)} classes of images {list(source.training.images.shape[1:])}"
        raise DataError(f"{where!r} is no CIFAR-10: it has {got}, not 10 of {list(_SHAPE)}; for other sets: folder:DIR")
    return source


def _from_folder(directory: Path) -> Source:
    inside = set(folder.entries(directory))
    if inside & {*_TRAINING, _TEST}:
        return _from_batches(str(directory), {name: _bytes(directory / name) for name in _BINARY if name in inside})
    if not {"train", "test"} <= inside:
        for name in sorted(inside):
            _refuse_pickle(str(directory), name)
        raise DataError(f"{str(directory)!r} has neither train and test with class folders nor {_TRAINING[0]}")
    return folder.read_parts(directory, ("train", "test"))


def _from_members(where: str, members: Iterator[tuple[str, bytes | None]]) -> Source:
    """Read the files of an archive in one pass, whichever form they turn out to have."""
    batches: dict[str, bytes] = {}
    listing: dict[str, dict[str, set[str]]] = {"train": {}, "test": {}}
    roots = set[PurePosixPath]()
    images = ImageCollector()
    for name, content in members:
        path = PurePosixPath(name)
        folders = path if content is None else path.parent
        is_class = folders.parent.name in listing and not folders.name.startswith(".")
        if is_class:
            roots.add(folders.parent.parent)
            listing[folders.parent.name].setdefault(folders.name, set())
        if content is None:
            continue
        _refuse_pickle(where, path.name)
        if path.name in _BINARY:
            batches[path.name] = content
        elif is_class and image_names([path.name]):
            listing[folders.parent.name][folders.name].add(f"{where}/{path}")
            images.add(f"{where}/{path}", io.BytesIO(content))
    if batches:
        return _from_batches(where, batches)
    if len(roots) != 1:
        found = f"several data sets: {', '.join(sorted(map(str, roots)))}" if roots else f"no {_TRAINING[0]}"
        raise DataError(
            f"{where!r} must have train/<class> and test/<class> once, or the binary batches; it has {found}"
        )
    # Sorted, so that an archive and its folders give the same splits.
    ordered = {part: {name: sorted(held) for name, held in classes.items()} for part, classes in listing.items()}
    return class_folders.source(where, ordered, images)


def _from_batches(where: str, files: Mapping[str, bytes]) -> Source:
    for name in (*_TRAINING, _TEST):
        if name not in files:
            raise DataError(f"{where!r}: {name} is missing")
    parts = [_records(where, name, files[name]) for name in (*_TRAINING, _TEST)]
    training = Part(
        np.concatenate([part.images for part in parts[:-1]]), np.concatenate([part.labels for part in parts[:-1]])
    )
    class_names: tuple[str, ...] = CLASSES
    if _NAMES in files:
        class_names = tuple(files[_NAMES].decode("utf-8", "replace").split())
        if len(set(class_names)) != len(CLASSES):
            raise DataError(f"{where!r}: {_NAMES} must have ten different names, has {len(set(class_names))}")
    return Source(training, parts[-1], class_names, flip=True)


def _records(where: str, name: str, content: bytes) -> Part:
    """Records of one byte of label and 3x32x32 bytes of pixels, red first."""
    if len(content) == 0 or len(content) % _RECORD:
        raise DataError(f"{where!r}: {name} has {len(content)} bytes, no multiple of {_RECORD}: it is truncated")
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    at = int(labels.argmax())
    if labels[at] >= len(CLASSES):
        raise DataError(f"{where!r}: {name}, record {at}: label {labels[at]}, but labels must be 0 to 9")
    return Part(records[:, 1:].reshape(-1, *_SHAPE).copy(), labels)


def _refuse_pickle(where: str, name: str) -> None:
    if _PICKLE.fullmatch(name):
        foreign = f"{where!r} is the Python version of CIFAR-10 ({name})"
        raise DataError(f"{foreign}, and reading pickles runs code: use the binary version")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read: {reason(error)}") from error
