from __future__ import annotations

import io
import os
import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.data import SPLITS, load
from nas.data.images.archive import members
from nas.data.images.decode import ImageCollector
from nas.errors import DataError
from nas.task import ImageClassification
from tests.data.made import CIFAR_CLASSES, batches, class_files, message, pixels, png, write, write_tar

FOLDER = os.environ.get("NAS_DATA_DIR")
FOLDERS = class_files(CIFAR_CLASSES, {"train": 3, "test": 2}, size=32)


def part_images(data_split: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in data_split}


def test_class_folders(tmp_path: Path) -> None:
    data = load(f"cifar10:{write(tmp_path, FOLDERS)}")
    assert (data.class_names, data.task) == (CIFAR_CLASSES, ImageClassification(32, 3, 10))
    assert (data.flip, data.padding) == (True, 4)
    assert [len(data.split(name)) for name in SPLITS] == [23, 3, 4, 20]
    assert data.test.labels.tolist() == [i // 2 for i in range(20)]
    assert np.array_equal(data.test.images[3].numpy(), pixels(33, 32).transpose(2, 0, 1))


@pytest.mark.parametrize(("prefix", "compression"), [("", ""), ("./", "gz"), ("cifar/", "xz"), ("a/b/", "bz2")])
def test_a_tar_gives_what_its_folders_give(prefix: str, compression: str, tmp_path: Path) -> None:
    # In another order, with files that are no images of the set.
    files = {prefix + name: content for name, content in reversed(FOLDERS.items())}
    files |= {"README.md": b"", prefix + "train/cat/._000.png": b"", prefix + "val/cat/1.png": b""}
    archived = load(f"cifar10:{write_tar(tmp_path / 'a', files, compression)}")
    assert archived.digest == load(f"cifar10:{write(tmp_path / 'set', FOLDERS)}").digest
    assert archived.preprocessing.class_names == CIFAR_CLASSES


def test_a_file_that_comes_twice_counts_once(tmp_path: Path) -> None:
    once = load(f"cifar10:{write_tar(tmp_path / 'once', FOLDERS)}")
    twice = load(f"cifar10:{write_tar(tmp_path / 'twice', {**FOLDERS, './train/cat/000.png': png(pixels(999, 32))})}")
    assert len(twice.train) == len(once.train)
    assert twice.digest != once.digest


def test_binary_batches(tmp_path: Path) -> None:
    files = batches()
    data = load(f"cifar10:{write(tmp_path, files)}")
    assert (data.class_names, data.flip, data.padding) == (CIFAR_CLASSES, True, 4)
    assert [len(data.split(name)) for name in SPLITS] == [75, 10, 15, 20]
    test = np.frombuffer(files["test_batch.bin"], dtype=np.uint8).reshape(-1, 3073)
    assert np.array_equal(data.test.images.numpy().reshape(-1, 3072), test[:, 1:])
    assert data.test.labels.tolist() == test[:, 0].tolist()
    expected = {content[at + 1 : at + 3073] for name, content in files.items() if name.startswith("data")
                for at in range(0, len(content), 3073)}  # fmt: skip
    images = torch.cat([data.train.images, data.calibration.images, data.validation.images])
    assert part_images(images) == expected


def test_binary_batches_in_their_folder_and_in_a_tar(tmp_path: Path) -> None:
    plain = load(f"cifar10:{write(tmp_path / 'plain', batches())}").digest
    below = {f"cifar-10-batches-bin/{name}": content for name, content in batches().items()}
    assert load(f"cifar10:{write(tmp_path / 'unpacked', below)}").digest == plain
    assert load(f"cifar10:{write_tar(tmp_path / 'a.tar.gz', below, 'gz')}").digest == plain


def test_class_names_of_the_batches(tmp_path: Path) -> None:
    names = [f"thing{i}" for i in range(10)]
    files = {**batches(), "batches.meta.txt": ("\n".join(names) + "\n\n").encode()}
    assert load(f"cifar10:{write(tmp_path, files)}").class_names == tuple(names)


def changed(name: str, at: int, value: int) -> dict[str, bytes]:
    content = bytearray(batches()[name])
    content[at] = value
    return {**batches(), name: bytes(content)}


def without(files: dict[str, bytes], *prefixes: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith(prefixes)}


SMALL = class_files(CIFAR_CLASSES, {"train": 1, "test": 1}, size=16)
GREY = class_files(CIFAR_CLASSES, {"train": 1, "test": 1}, size=32, channels=1)
BAD = [
    (without(batches(), "data_batch_3"), r"data_batch_3\.bin is missing"),
    (without(batches(), "test_batch"), r"test_batch\.bin is missing"),
    ({**batches(), "data_batch_2.bin": batches()["data_batch_2.bin"][:-1]}, r"data_batch_2\.bin has 61459 bytes"),
    ({**batches(), "test_batch.bin": b""}, r"test_batch\.bin has 0 bytes"),
    (changed("data_batch_4.bin", 3073 * 7, 10), r"data_batch_4\.bin, record 7: label 10.*0 to 9"),
    ({**batches(), "batches.meta.txt": b"a\nb\n"}, r"batches\.meta\.txt must have ten different names, has 2"),
    ({"data_batch_1": b"", "test_batch": b""}, "Python version.*use the binary version"),
    ({"batches.meta": b""}, "Python version.*use the binary version"),
    ({"notes.txt": b""}, "train.*test"),
    ({"train/cat/notes.txt": b"", "test/cat/notes.txt": b""}, "class folder 'train/cat' has no image"),
    (without(FOLDERS, "test/truck"), "class folder 'truck' is in train alone"),
    (without(FOLDERS, "train/truck", "test/truck"), "is no CIFAR-10: it has 9 classes"),
    (SMALL, r"is no CIFAR-10: it has 10 classes of images \[3, 16, 16\]"),
    (GREY, r"is no CIFAR-10: it has 10 classes of images \[1, 32, 32\]"),
    ({**FOLDERS, "test/dog/000.png": b"nonsense"}, "image '.*test/dog/000.png' is corrupt"),
    ({**FOLDERS, "test/dog/000.png": png(pixels(1, 31))}, r"image '.*test/dog/000.png' is 31x31, but .* is 32x32"),
]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(("files", "says"), BAD)
def test_what_is_wrong_is_named(files: dict[str, bytes], says: str, archived: bool, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set", files) if archived else write(tmp_path / "set", files)
    with pytest.raises(DataError, match=says) as caught:
        load(f"cifar10:{path}")
    assert str(path) in message(caught)


def test_two_sets_in_one_tar_are_refused(tmp_path: Path) -> None:
    files = {f"{root}/{name}": content for root in ("one", "two") for name, content in FOLDERS.items()}
    with pytest.raises(DataError, match="several data sets: one, two"):
        load(f"cifar10:{write_tar(tmp_path / 'a.tar', files)}")


def test_a_train_folder_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither train and test"):
        load(f"cifar10:{write(tmp_path, without(FOLDERS, 'test'))}")
    with pytest.raises(DataError, match="test: no class folders"):
        load(f"cifar10:{write_tar(tmp_path / 'a.tar', without(FOLDERS, 'test'))}")


def test_a_pickled_batch_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({"labels": [1]}))
    with pytest.raises(DataError, match="use the binary version"):
        load(f"cifar10:{tmp_path}/data_batch_1")


def test_a_truncated_tar_is_refused(tmp_path: Path) -> None:
    content = write_tar(tmp_path / "a.tar.xz", FOLDERS, "xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.tar\.xz' is truncated"):
        load(f"cifar10:{tmp_path}/cut.tar.xz")


@pytest.mark.skipif(
    FOLDER is None or not Path(FOLDER, "images/cifar10_jpeg.tar.xz").exists(),
    reason="needs NAS_DATA_DIR with images/cifar10_jpeg.tar.xz",
)
def test_the_first_images_of_the_real_archive() -> None:
    # Reading all 60,000 takes ten seconds; the first thousand show that archive and images are what is expected.
    images = ImageCollector()
    names = []
    for name, content in islice(members(Path(str(FOLDER), "images/cifar10_jpeg.tar.xz")), 1000):
        if content is not None:
            part, label, _ = name.split("/")
            assert part in ("train", "test")
            assert label in CIFAR_CLASSES
            names.append(name)
            images.add(name, io.BytesIO(content))
    stacked = images.stacked(names)
    assert stacked.shape == (len(names), 3, 32, 32)
    assert len(names) > 900
    assert 90 < stacked.mean() < 150
