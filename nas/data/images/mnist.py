"""MNIST, or a set made in its form, as one .npz file."""

from __future__ import annotations

from nas.data.images import npz
from nas.data.images.source import Source
from nas.errors import DataError
from nas.files import locate

_CLASSES = tuple(str(digit) for digit in range(10))


def read(path: str) -> Source:
    """Read `x_train`, `y_train`, `x_test`, `y_test`: grey images of 28x28 pixels, ten classes.

    Raises:
        UsageError: The path is empty.
        DataError: The file is missing, corrupt or of another form.
    """
    file = locate(path, usage="mnist:FILE.npz")
    needed = ("x_train", "y_train", "x_test", "y_test")
    arrays = npz.read_arrays(file, needed)
    for name in needed:
        if name not in arrays:
            raise DataError(f"{str(file)!r}: no array {name!r}; MNIST needs {', '.join(needed)}")
    parts = [npz.part(file, arrays, x, y, classes=len(_CLASSES)) for x, y in (needed[:2], needed[2:])]
    for name, part in zip(("x_train", "x_test"), parts, strict=True):
        if part.images.shape[1:] != (1, 28, 28):
            shape = list(arrays[name].shape)
            raise DataError(f"{str(file)!r}: {name} must be [N, 28, 28], got {shape}; other images: npz:{path}")
    return npz.source(file, parts, _CLASSES, flip=False)
