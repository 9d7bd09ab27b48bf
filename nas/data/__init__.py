"""Data sets: a task, four fixed and disjoint splits, and batches ready for networks."""

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
from nas.data.text import tsv
from nas.data.text.preprocessing import TextPreprocessing
from nas.errors import CheckpointError, UnknownName

__all__ = [
    "LOADERS",
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

Loader = Callable[[str, int | None], Dataset]


def _images(kind: str, read: Callable[[str], Source]) -> Loader:
    def load_images(path: str, train_examples: int | None) -> Dataset:
        return divide(f"{kind}:{path}" if path else kind, read(path), train_images=train_examples)

    return load_images


# What stands before the colon of a spec, and what reads the rest of it.
LOADERS: dict[str, Loader] = {
    "digits": _images("digits", digits.read),
    "mnist": _images("mnist", mnist.read),
    "cifar10": _images("cifar10", cifar10.read),
    "folder": _images("folder", folder.read),
    "npz": _images("npz", npz.read),
    "tsv": lambda path, train_examples: tsv.load(path, train_examples=train_examples),
}


def load(spec: str, *, train_images: int | None = None) -> Dataset:
    """The data set that `spec` names, in four disjoint splits that are the same every time.

    Args:
        spec: "digits", "mnist:FILE.npz", "cifar10:PATH", "folder:DIR", "npz:FILE" or "tsv:DIR". A relative path that
            does not exist here is looked up under the folder that the environment variable NAS_DATA_DIR names.
        train_images: Keep only the first so many examples of the train split; None keeps all. The other splits stay
            as they are; normalisation and tokenizer are made from the kept examples.

    Raises:
        UnknownName: No such source.
        UsageError: A path is missing or too much, or `train_images` is not in 1 .. the size of the train split.
        DataError: The data are missing, corrupt or of another form; the text says what and where.
        MissingPackage: An optional package that reads them is not installed.
    """
    name, _, path = spec.partition(":")
    if name not in LOADERS:
        raise UnknownName("data set", name, LOADERS)
    return LOADERS[name](path, train_images)


def preprocessing_from_json(document: object) -> Preprocessing:
    """What `Preprocessing.to_json` wrote.

    Raises:
        CheckpointError: The document is of another form or kind.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in _PREPROCESSING:
        raise CheckpointError(f"preprocessing must be a JSON object with a kind, one of {', '.join(_PREPROCESSING)}")
    return _PREPROCESSING[kind](document)
