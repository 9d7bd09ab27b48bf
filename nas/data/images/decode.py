"""JPEG and PNG files to arrays that all have one size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from nas.data.images.source import Images
from nas.errors import DataError
from nas.files import reason

EXTENSIONS = (".jpg", ".jpeg", ".png")
_GREY = ("1", "L", "LA")
_COLOUR = ("P", "RGB", "RGBA", "CMYK")
# What decoders raise on damaged files, by trying many: OSError covers Pillow's own errors.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


class ImageCollector:
    """Decodes files one at a time; all must be square and of the size of the first.

    A set is grey when all its images are; one coloured image makes it RGB, and grey images then repeat their values in
    three channels. Palettes and CMYK become RGB, transparency is dropped, images of 16 bits are refused.
    """

    def __init__(self) -> None:
        self._images: dict[str, Images] = {}

    def add(self, name: str, file: Path | IO[bytes]) -> None:
        """Decode one file; a name that comes again replaces its image.

        Raises:
            DataError: The file cannot be decoded, or is of another size or depth; the text has `name`.
        """
        try:
            with Image.open(file, formats=("JPEG", "PNG")) as image:
                self._check_size(name, *image.size)
                self._images[name] = _pixels(name, image)
        except _DAMAGE as error:
            # Pillow names the buffer, which says nothing.
            why = "no JPEG or PNG" if isinstance(error, UnidentifiedImageError) else reason(error)
            raise DataError(f"image {name!r} is corrupt or cannot be read: {why}") from error

    def _check_size(self, name: str, width: int, height: int) -> None:
        if width != height:
            raise DataError(f"image {name!r} is {width}x{height}; crop or resize all images to one square size first")
        first = next(iter(self._images), None)
        size = width if first is None else len(self._images[first])
        if width != size:
            other = f"{first!r} is {size}x{size}"
            raise DataError(f"image {name!r} is {width}x{height}, but {other}; resize all images to one size first")

    def channels(self) -> int:
        """3 when any image has colour, else 1."""
        return 3 if any(image.ndim == 3 for image in self._images.values()) else 1

    def stacked(self, names: Sequence[str]) -> Images:
        """The images with these names, uint8 [N, C, S, S]."""
        size = len(self._images[names[0]])
        out = np.empty((len(names), self.channels(), size, size), dtype=np.uint8)
        for i, name in enumerate(names):
            image = self._images[name]
            out[i] = image if image.ndim == 2 else image.transpose(2, 0, 1)
        return out


def image_names(names: Iterable[str]) -> list[str]:
    """Those of the file names that are images, sorted; hidden files are none."""
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def _pixels(name: str, image: Image.Image) -> Images:
    """uint8 [H, W] of a grey image, [H, W, 3] of a coloured one."""
    if image.mode in _GREY:
        return np.array(image if image.mode == "L" else image.convert("L"))
    if image.mode in _COLOUR:
        # Over RGBA: Pillow warns where a palette with transparency goes to RGB at once.
        plain = image.convert("RGBA") if image.mode == "P" else image
        return np.array(plain if plain.mode == "RGB" else plain.convert("RGB"))
    raise DataError(f"image {name!r} has Pillow's mode {image.mode!r}; save it as 8-bit grey or RGB")
