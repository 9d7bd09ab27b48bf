"""Class folders, on disk or in an archive: which images belong to which class, and what may be wrong with that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas.data.images.decode import EXTENSIONS, ImageCollector
from nas.data.images.source import Part, Source
from nas.errors import DataError

# Part ("train", "test", or "" where the set is not split) -> class -> names of its images in a fixed order.
Listing = Mapping[str, Mapping[str, list[str]]]


def check(where: str, listing: Listing) -> tuple[str, ...]:
    """The class names, sorted, which are the same in all parts.

    Raises:
        DataError: Fewer than two classes, an empty class folder, or parts that differ in their classes.
    """
    names = sorted(next(iter(listing.values())))
    for part, classes in listing.items():
        inside = f"{where!r}, {part}" if part else repr(where)
        if not classes:
            raise DataError(f"{inside}: no class folders; put the images of each class into a folder of its name")
        odd = sorted(set(classes) ^ set(names))
        if odd:
            parts = " and ".join(name for name, held in listing.items() if odd[0] in held)
            raise DataError(f"{where!r}: class folder {odd[0]!r} is in {parts} alone; train and test need the same")
        for name, images in sorted(classes.items()):
            if not images:
                folder = f"{part}/{name}" if part else name
                raise DataError(f"{where!r}: class folder {folder!r} has no image ({', '.join(EXTENSIONS)})")
    if len(names) < 2:
        raise DataError(f"{where!r}: only one class folder, {names[0]!r}; two are needed")
    return tuple(names)


def source(where: str, listing: Listing, images: ImageCollector) -> Source:
    """The decoded images of a listing, class after class.

    Raises:
        DataError: As in `check`.
    """
    class_names = check(where, listing)
    parts = []
    for classes in listing.values():
        counts = [len(classes[name]) for name in class_names]
        order = [image for name in class_names for image in classes[name]]
        parts.append(Part(images.stacked(order), np.repeat(np.arange(len(class_names)), counts)))
    return Source(parts[0], parts[1] if len(parts) == 2 else None, class_names, flip=True)
