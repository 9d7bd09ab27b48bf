from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.data import LOADERS, load
from nas.errors import DataError, UnknownName, UsageError
from tests.data.made import class_files, message, write


@pytest.mark.parametrize(("spec", "near"), [("digit", "digits"), ("cifar:x", "cifar10"), ("fodler:x", "folder")])
def test_an_unknown_source_names_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown data set .*Did you mean '{near}'") as caught:
        load(spec)
    assert all(name in message(caught) for name in LOADERS)


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"digits"}))
@pytest.mark.parametrize("colon", ["", ":"])
def test_a_missing_path_is_wrong_use(name: str, colon: str) -> None:
    with pytest.raises(UsageError, match=f"write {name}:"):
        load(name + colon)


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"digits"}))
def test_a_path_that_does_not_exist(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_DATA_DIR", raising=False)
    with pytest.raises(DataError, match="'gone' does not exist; set NAS_DATA_DIR"):
        load(f"{name}:gone")
    with pytest.raises(DataError, match=r"gone' does not exist$"):
        load(f"{name}:{tmp_path}/gone")
    monkeypatch.setenv("NAS_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(DataError, match="neither here nor under NAS_DATA_DIR"):
        load(f"{name}:gone")


def test_relative_paths_are_tried_here_and_then_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "data" / "sets" / "two", class_files(("a", "b"), {"": 12}))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("NAS_DATA_DIR", str(tmp_path / "data"))
    far = load("folder:sets/two")
    assert (far.spec, far.class_names) == ("folder:sets/two", ("a", "b"))
    write(tmp_path / "here" / "sets" / "two", class_files(("c", "d"), {"": 12}))
    assert load("folder:sets/two").class_names == ("c", "d")


def test_train_images_reach_the_split(tmp_path: Path) -> None:
    x, y = np.zeros((40, 8, 8), dtype=np.uint8), np.arange(40) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    assert len(load(f"npz:{tmp_path}/a.npz", train_images=7).train) == 7
    with pytest.raises(UsageError, match="1 to 24"):
        load(f"npz:{tmp_path}/a.npz", train_images=26)
