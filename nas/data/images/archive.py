"""Tar archives, read once from front to back; nothing is unpacked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from nas.errors import DataError
from nas.files import reason

_BLOCK = 512
_OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\xfd7zXZ\x00": lzma.open, b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


class _Blocks:
    """The bytes of a tar block by block; `last` is the newest one: zeros where the archive says that it ends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int) -> bytes:
        self.last = self._file.read(size)
        return self.last


def members(path: Path) -> Iterator[tuple[str, bytes | None]]:
    """Name and bytes of each file of a .tar, .tar.xz, .tar.gz or .tar.bz2 in its order; None for a folder.

    Links and devices are passed over.

    Raises:
        DataError: The file is no tar archive, or is truncated or damaged.
    """
    where = repr(str(path))
    started = False
    try:
        with _open(path) as file:
            # The library ends quietly at a header it cannot read; reading single blocks shows whether it was the end.
            blocks = _Blocks(file)
            with tarfile.open(fileobj=cast("IO[bytes]", blocks), mode="r|", bufsize=_BLOCK) as archive:
                for member in archive:
                    started = True
                    if member.isdir():
                        yield member.name, None
                    elif member.isreg():
                        yield member.name, cast("IO[bytes]", archive.extractfile(member)).read()
            if blocks.last != bytes(_BLOCK):
                raise DataError(f"archive {where} is truncated or damaged: it has no end mark")
            # To the end, where the checksums of compressed files are.
            while file.read(1 << 16):
                pass
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        what = "is truncated or damaged" if started else "is no tar archive, or is truncated"
        raise DataError(f"archive {where} {what}: {reason(error)}") from error


def _open(path: Path) -> IO[bytes]:
    """The bytes of the tar: unlike the library's own streams, these do not pass over a compressed file cut short."""
    with path.open("rb") as file:
        head = file.read(6)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return cast("IO[bytes]", opener(path))
    return path.open("rb")
