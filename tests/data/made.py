"""Small image files, folders and archives that the tests of this folder read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nas.errors import NasError

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def png(pixels: NDArray[np.uint8], mode: str | None = None, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(file, kind)
    return file.getvalue()


def pixels(seed: int, size: int = 8, channels: int = 3) -> NDArray[np.uint8]:
    shape = (size, size) if channels == 1 else (size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def class_files(
    classes: tuple[str, ...], counts: Mapping[str, int], size: int = 8, channels: int = 3
) -> dict[str, bytes]:
    """Path -> bytes: for each part ("" for none) so many different PNG images of every class."""
    names = [
        f"{part}/{name}/{i:03d}.png".lstrip("/") for part, n in counts.items() for name in classes for i in range(n)
    ]
    return {name: png(pixels(seed, size, channels)) for seed, name in enumerate(names)}


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def write_tar(path: Path, files: Mapping[str, bytes], compression: str = "") -> Path:
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def batches(counts: int = 20) -> dict[str, bytes]:
    """The six files of binary CIFAR-10, `counts` records each, the label of record i being i % 10."""
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    files = {}
    for seed, name in enumerate(names):
        records = np.random.default_rng(seed).integers(0, 256, (counts, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(counts) % 10
        files[name] = records.tobytes()
    return files


def message(caught: pytest.ExceptionInfo[NasError]) -> str:
    """The text of an error, which must be one line."""
    text = str(caught.value)
    assert "\n" not in text
    return text
