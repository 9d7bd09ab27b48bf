"""Real images: uint8 in four fixed, disjoint splits, their normalisation, and augmentation on the batch."""

from __future__ import annotations

from collections.abc import Callable

from nas.data.dataset import SPLITS, Dataset
from nas.data.images import cifar10, digits, folder, mnist, npz
from nas.data.images.augment import augment
from nas.data.images.image_data import ImageData, Split
from nas.data.images.preprocessing import ImagePreprocessing
from nas.data.images.source import Source
from nas.data.images.splits import divide
from nas.data.preprocessing import Preprocessing
from nas.data.text.preprocessing import TextPreprocessing
from nas.errors import CheckpointError, UnknownName

__all__ = [
    "SOURCES",
    "SPLITS",
    "Dataset",
    "ImageData",
    "ImagePreprocessing",
    "Preprocessing",
    "Split",
    "augment",
    "load",
    "preprocessing_from_json",
]

_PREPROCESSING: dict[str, Callable[[object], Preprocessing]] = {
    ImagePreprocessing.kind: ImagePreprocessing.from_json,
    TextPreprocessing.kind: TextPreprocessing.from_json,
}

# What stands before the colon of a spec, and what reads the rest of it.
SOURCES: dict[str, Callable[[str], Source]] = {
    "digits": digits.read,
    "mnist": mnist.read,
    "cifar10": cifar10.read,
    "folder": folder.read,
    "npz": npz.read,
}


def load(spec: str, *, train_images: int | None = None) -> ImageData:
    """The data set that `spec` names, in four disjoint splits that are the same every time.

    Args:
        spec: "digits", "mnist:FILE.npz", "cifar10:PATH", "folder:DIR" or "npz:FILE". A relative path that does not
            exist here is looked up under the folder that the environment variable NAS_DATA_DIR names.
        train_images: Keep only the first so many images of the train split; None keeps all. The other splits stay
            as they are; the normalisation is measured on the kept images.

    Raises:
        UnknownName: No such source.
        UsageError: A path is missing or too much, or `train_images` is not in 1 .. the size of the train split.
        DataError: The data are missing, corrupt or of another form; the text says what and where.
    """
    name, _, path = spec.partition(":")
    if name not in SOURCES:
        raise UnknownName("data set", name, SOURCES)
    return divide(spec, SOURCES[name](path), train_images=train_images)


def preprocessing_from_json(document: object) -> Preprocessing:
    """What `Preprocessing.to_json` wrote.

    Raises:
        CheckpointError: The document is of another form or kind.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in _PREPROCESSING:
        raise CheckpointError(f"preprocessing must be a JSON object with a kind, one of {', '.join(_PREPROCESSING)}")
    return _PREPROCESSING[kind](document)
