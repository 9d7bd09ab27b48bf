"""Images in one folder a class."""

from __future__ import annotations

from pathlib import Path

from nas.data.images import class_folders
from nas.data.images.decode import ImageCollector, image_names
from nas.data.images.source import Source
from nas.errors import DataError
from nas.files import locate, reason


def read(path: str) -> Source:
    """Read DIR/train/<class> and DIR/test/<class>, or DIR/<class>, of which a fixed fifth becomes the test split.

    The classes are the sorted names of the folders, the images the files .jpg, .jpeg and .png in them; hidden ones and
    all other files are passed over. Images are square and of one size: nothing is resized. See `ImageCollector` for
    grey and coloured images in one set.

    Raises:
        UsageError: The path is empty.
        DataError: The folder is missing or of another form, or an image is corrupt or of another size.
    """
    directory = locate(path, usage="folder:DIR")
    if not directory.is_dir():
        raise DataError(f"{str(directory)!r} is no folder")
    inside = set(_folders(directory))
    if {"train", "test"} <= inside:
        return read_parts(directory, ("train", "test"))
    for part, other in (("train", "test"), ("test", "train")):
        if part in inside and _folders(directory / part):
            alone = f"{str(directory)!r} has {part!r} but no {other!r}: add it"
            raise DataError(f"{alone}, or name the folder of the classes: folder:{directory / part}")
    return read_parts(directory, ("",))


def read_parts(directory: Path, parts: tuple[str, ...]) -> Source:
    """Read the class folders of these folders in `directory`; "" is the directory itself.

    Raises:
        DataError: As in `read`.
    """
    listing: dict[str, dict[str, list[str]]] = {}
    for part in parts:
        listing[part] = {}
        for name in _folders(directory / part):
            held = image_names(entries(directory / part / name))
            listing[part][name] = [str(directory / part / name / image) for image in held]
    class_folders.check(str(directory), listing)
    images = ImageCollector()
    for classes in listing.values():
        for held in classes.values():
            for file in held:
                images.add(file, Path(file))
    return class_folders.source(str(directory), listing, images)


def _folders(directory: Path) -> list[str]:
    """Names of the folders inside, sorted; hidden ones are passed over."""
    return [name for name in entries(directory) if not name.startswith(".") and (directory / name).is_dir()]


def entries(directory: Path) -> list[str]:
    """The names inside a folder, sorted.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except OSError as error:
        raise DataError(f"folder {str(directory)!r} cannot be read: {reason(error)}") from error
