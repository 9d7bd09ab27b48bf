from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nas.data import load
from nas.data.images.npz import read
from nas.errors import DataError
from tests.data.made import message

X = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)
Y = np.arange(30) % 3
SPLIT = {"x_train": X[:20], "y_train": Y[:20], "x_test": X[20:], "y_test": Y[20:]}


def saved(directory: Path, **arrays: Any) -> str:
    np.savez(directory / "set.npz", **arrays)
    return str(directory / "set.npz")


def test_a_split_set_keeps_its_split(tmp_path: Path) -> None:
    source = read(saved(tmp_path, **SPLIT))
    assert source.test is not None
    assert np.array_equal(source.training.images, X[:20].transpose(0, 3, 1, 2))
    assert np.array_equal(source.test.images, X[20:].transpose(0, 3, 1, 2))
    assert np.array_equal(source.training.labels, Y[:20])
    assert np.array_equal(source.test.labels, Y[20:])
    assert source.class_names == ("0", "1", "2")


def test_a_whole_set_is_split(tmp_path: Path) -> None:
    data = load("npz:" + saved(tmp_path, x=X, y=Y))
    assert [len(data.split(name)) for name in ("train", "calibration", "validation", "test")] == [18, 2, 4, 6]
    assert data.digest == load("npz:" + saved(tmp_path, x=X, y=Y)).digest


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (X, X.transpose(0, 3, 1, 2)),
        (X.transpose(0, 3, 1, 2), X.transpose(0, 3, 1, 2)),
        (X[..., 0], X[:, None, :, :, 0]),
        (X[..., :2], X[..., :2].transpose(0, 3, 1, 2)),
        (np.asfortranarray(X), X.transpose(0, 3, 1, 2)),
    ],
)
def test_layouts(array: Any, expected: Any, tmp_path: Path) -> None:
    source = read(saved(tmp_path, x=array, y=Y))
    assert np.array_equal(source.training.images, expected)
    assert source.training.images.flags.c_contiguous
    assert source.flip == (expected.shape[1] == 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_become_levels(dtype: Any, tmp_path: Path) -> None:
    source = read(saved(tmp_path, x=(X / 255).astype(dtype), y=Y))
    assert np.array_equal(source.training.images, X.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64, np.int64, ">i4"])
def test_labels_of_any_integer_dtype(dtype: Any, tmp_path: Path) -> None:
    source = read(saved(tmp_path, x=X, y=Y.astype(dtype)[:, None]))
    assert source.training.labels.dtype == np.int64
    assert np.array_equal(source.training.labels, Y)


def test_class_names_travel_and_may_name_absent_classes(tmp_path: Path) -> None:
    source = read(saved(tmp_path, x=X, y=Y, class_names=np.array(["ant", "bee", "cat", "dog"])))
    assert source.class_names == ("ant", "bee", "cat", "dog")


BAD_FLOATS = X / 255
BAD_NAN, BAD_HIGH = BAD_FLOATS.copy(), BAD_FLOATS.copy()
BAD_NAN[4, 0, 0, 0] = np.nan
BAD_HIGH[5, 0, 0, 0] = 1.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": None}, "no array 'x_train'|no array 'x'"),
        ({"y": None}, "no array 'y'"),
        ({"x": X[:, :5]}, r"x has the shape \(30, 5, 6, 3\); square images"),
        ({"x": X[..., 0, 0]}, "square images"),
        ({"x": X[..., None]}, "square images"),
        ({"x": X[..., :0]}, "square images"),
        ({"x": np.zeros((30, 3, 3, 3), np.uint8)}, "cannot be told"),
        ({"x": X.astype(np.int64)}, "dtype int64; save the images as uint8"),
        ({"x": X > 9}, "dtype bool"),
        ({"x": X.astype(complex)}, "dtype complex128"),
        ({"x": BAD_NAN}, r"x\[4\] has values NaN or infinite"),
        ({"x": BAD_HIGH}, r"x\[5\] has values from .* to 1.5"),
        ({"x": X.astype(np.float32)}, r"x\[0\] has values from 0 to 255|x\[0\] has values from"),
        ({"x": X[:29]}, "29 images in x, but 30 labels in y"),
        ({"x": X[:0], "y": Y[:0], "class_names": np.array(["a", "b"])}, "x is empty"),
        ({"y": Y[:0]}, "two are needed"),
        ({"y": Y * 0}, "y has 1 classes; two are needed"),
        ({"y": Y.astype(float)}, r"y must be integers \[N\], got float64 \[30\]"),
        ({"y": Y > 1}, "y must be integers"),
        ({"y": np.stack([Y, Y], axis=1)}, "y must be integers"),
        ({"y": Y - 1}, "y has the label -1; labels must be 0 or more"),
        ({"y": Y + 1}, "no label is 0"),
        ({"y": Y.astype(np.uint64) * 2**62}, "goes up to 9223372036854775808, but no label is 1"),
        ({"class_names": np.array(["ant", "bee"])}, r"y\[2\] is 2, but labels must be 0 to 1"),
        ({"y": Y - 1, "class_names": np.array(["a", "b"])}, r"y\[0\] is -1, but labels must be 0 to 1"),
        ({"class_names": np.array(["ant", "ant", "bee"])}, "class_names must be two or more different strings"),
        ({"class_names": np.array(["ant"])}, "class_names"),
        ({"class_names": np.array("ant")}, "class_names"),
        ({"class_names": np.array([1, 2, 3])}, "class_names"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    arrays = {name: array for name, array in {"x": X, "y": Y, **change}.items() if array is not None}
    with pytest.raises(DataError, match=says) as caught:
        read(saved(tmp_path, **arrays))
    assert "set.npz" in message(caught)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_test": None}, "no array 'y_test'"),
        ({"y_test": Y[20:] + 1}, r"y_test\[0\] is 3, but labels must be 0 to 2"),
        ({"x_test": X[20:, :5, :5]}, r"\(3, 6, 6\) in x_train, \(3, 5, 5\) in x_test"),
        ({"x_test": X[20:, ..., 0]}, r"\(3, 6, 6\) in x_train, \(1, 6, 6\) in x_test"),
    ],
)
def test_what_is_wrong_with_the_test_part_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    arrays = {name: array for name, array in {**SPLIT, **change}.items() if array is not None}
    with pytest.raises(DataError, match=says) as caught:
        read(saved(tmp_path, **arrays))
    assert "set.npz" in message(caught)


class Bomb:
    """What a pickle would run on loading."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.empty(2, dtype=object)
    objects[:] = Bomb()
    files = {"object.npz": saved(tmp_path, x=objects, y=Y), "plain.npz": "plain.npz", "inside.npz": "inside.npz"}
    Path("plain.npz").write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile("inside.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Bomb()))
        archive.writestr("y", pickle.dumps(Bomb()))
    for file in files.values():
        with pytest.raises(DataError) as caught:
            read(file)
        assert message(caught)
    assert not Path("exploded").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY", b"nonsense" * 20, b"PK\x03\x04" + b"\0" * 50])
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz' is truncated or no \.npz file") as caught:
        read(str(tmp_path / "set.npz"))
    message(caught)


def test_a_single_array_and_a_folder_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match=r"is one array, not an \.npz"):
        read(str(tmp_path / "a.npz"))
    with pytest.raises(DataError, match=r"is truncated or no \.npz"):
        read(str(tmp_path))


COMPRESSED = io.BytesIO()
np.savez_compressed(COMPRESSED, x=X[:9], y=Y[:9])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, len(COMPRESSED.getvalue()) - 1))
def test_a_truncated_file(tmp_path: Path, cut: int) -> None:
    (tmp_path / "cut.npz").write_bytes(COMPRESSED.getvalue()[:cut])
    with pytest.raises(DataError) as caught:
        read(str(tmp_path / "cut.npz"))
    message(caught)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(at=st.integers(0, len(COMPRESSED.getvalue()) - 1), value=st.integers(1, 255))
@example(at=COMPRESSED.getvalue().index(b"PK\x01\x02") + 6, value=64)  # a version of the format that is not known
@example(at=COMPRESSED.getvalue().index(b"PK\x01\x02") + 8, value=1)  # encrypted
def test_a_damaged_byte_gives_an_error_of_ours_or_the_same_images(tmp_path: Path, at: int, value: int) -> None:
    content = bytearray(COMPRESSED.getvalue())
    content[at] ^= value
    (tmp_path / "bad.npz").write_bytes(content)
    failure, images = "", None
    try:
        images = read(str(tmp_path / "bad.npz")).training.images
    except DataError as error:
        failure = str(error)
    assert "\n" not in failure
    assert "bad.npz" in failure if failure else np.array_equal(images, X[:9].transpose(0, 3, 1, 2))
