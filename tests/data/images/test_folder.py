from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import SPLITS, load
from nas.errors import DataError
from nas.task import ImageClassification
from tests.data.made import class_files, message, pixels, png, write

SPLIT = class_files(("ant", "bee"), {"train": 20, "test": 5})


def test_train_and_test_folders(tmp_path: Path) -> None:
    data = load(f"folder:{write(tmp_path, SPLIT)}")
    assert [len(data.split(name)) for name in SPLITS] == [30, 4, 6, 10]
    assert (data.class_names, data.task) == (("ant", "bee"), ImageClassification(8, 3, 2))
    assert (data.flip, data.padding) == (True, 1)
    # The test images keep the order of classes and names; image i was made from seed 40 + i.
    for i in range(10):
        assert np.array_equal(data.test.images[i].numpy(), pixels(40 + i).transpose(2, 0, 1))
        assert data.test.labels[i] == i // 5


def test_every_image_has_the_label_of_its_folder(tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": png(np.full((8, 8), level, np.uint8)) for name, level in
             (("ant", 10), ("bee", 20), ("cat", 30)) for i in range(9)}  # fmt: skip
    data = load(f"folder:{write(tmp_path, files)}")
    images = torch.cat([data.split(name).images for name in SPLITS])
    labels = torch.cat([data.split(name).labels for name in SPLITS])
    assert len(images) == 27
    assert torch.equal(images[:, 0, 0, 0].long(), 10 * (labels + 1))


def test_splits_do_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    files = class_files(("ant", "bee"), {"": 15})
    first = load(f"folder:{write(tmp_path / 'one', files)}")
    second = load(f"folder:{write(tmp_path / 'two', dict(reversed(files.items())))}")
    assert first.digest == second.digest


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    plain = load(f"folder:{write(tmp_path / 'plain', SPLIT)}").digest
    extra = {"README.txt": b"", "val/ant/1.png": b"", "train/ant/notes.txt": b"", "train/.cache/1.png": b"",
             "train/ant/._000.png": b"", "train/ant/deeper/1.png": b""}  # fmt: skip
    assert load(f"folder:{write(tmp_path / 'more', {**SPLIT, **extra})}").digest == plain


def test_train_may_be_a_class(tmp_path: Path) -> None:
    assert load(f"folder:{write(tmp_path, class_files(('bus', 'train'), {'': 12}))}").class_names == ("bus", "train")


def without(*prefixes: str) -> dict[str, bytes]:
    return {name: content for name, content in SPLIT.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"notes.txt": b""}, "no class folders"),
        ({**without("test"), "test/notes.txt": b""}, "test: no class folders"),
        (without("test"), "has 'train' but no 'test'.*folder:.*train"),
        (without("train"), "has 'test' but no 'train'"),
        (class_files(("ant",), {"": 8}), "only one class folder, 'ant'"),
        ({**without("test/bee")}, "class folder 'bee' is in train alone"),
        ({**SPLIT, "test/cow/1.png": b""}, "class folder 'cow' is in test alone"),
        ({**without("train/bee"), "train/bee/notes.txt": b""}, "class folder 'train/bee' has no image"),
        ({**without("test/ant"), "test/ant/1.gif": b""}, "class folder 'test/ant' has no image"),
        ({**class_files(("ant", "bee"), {"": 8}), "cow/1.txt": b""}, "class folder 'cow' has no image"),
        ({**SPLIT, "test/bee/002.png": b"nonsense"}, "image '.*test/bee/002.png' is corrupt"),
        ({**SPLIT, "test/bee/002.png": SPLIT["test/bee/002.png"][:90]}, "image '.*test/bee/002.png' is corrupt"),
        (
            {**SPLIT, "train/bee/002.png": png(pixels(1, 9))},
            "image '.*train/bee/002.png' is 9x9, but '.*train/ant/000.png' is 8x8",
        ),
        ({**SPLIT, "train/bee/002.png": png(pixels(1)[:5])}, "image '.*train/bee/002.png' is 8x5"),
        (class_files(("ant", "bee"), {"train": 1, "test": 1}), "too few"),
    ],
)
def test_what_is_wrong_is_named(files: dict[str, bytes], says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        load(f"folder:{write(tmp_path / 'set', files)}")
    assert str(tmp_path / "set") in message(caught)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(DataError, match="is no folder"):
        load(f"folder:{tmp_path}/a")
