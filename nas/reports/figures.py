"""Pictures in files that appear complete or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")


def check_suffix(path: Path) -> None:
    """Refuse a file that is neither a .png nor an .svg.

    Raises:
        UsageError: Another suffix.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"a picture is drawn as {' or '.join(SUFFIXES)}, got {path.name!r}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the form that the file's suffix says; the same figure gives the same bytes.

    Raises:
        UsageError: Another suffix than .png and .svg.
        WriteError: The disk is full, or the folder cannot be written.
    """
    check_suffix(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)
