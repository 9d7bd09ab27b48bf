from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import SPLITS, load
from nas.errors import DataError
from tests.data.made import message

FOLDER = os.environ.get("NAS_DATA_DIR")
X = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
Y = np.arange(40) % 10
SET = {"x_train": X[:30], "y_train": Y[:30], "x_test": X[30:], "y_test": Y[30:]}


def saved(directory: Path, **arrays: Any) -> str:
    np.savez(directory / "set.npz", **arrays)
    return f"mnist:{directory}/set.npz"


def test_a_set_in_mnists_form(tmp_path: Path) -> None:
    data = load(saved(tmp_path, **SET))
    assert (data.task.size, data.task.channels, data.class_names) == (28, 1, tuple("0123456789"))
    assert (data.flip, data.padding) == (False, 3)
    assert np.array_equal(data.test.images.numpy()[:, 0], X[30:])
    assert data.test.labels.tolist() == Y[30:].tolist()


@pytest.mark.parametrize("name", sorted(SET))
def test_a_missing_array_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no array '{name}'") as caught:
        load(saved(tmp_path, **{key: array for key, array in SET.items() if key != name}))
    assert "set.npz" in message(caught)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_train": Y[:30] + 1}, r"y_train\[9\] is 10, but labels must be 0 to 9"),
        ({"y_test": Y[30:] - 1}, r"y_test\[0\] is -1, but labels must be 0 to 9"),
        ({"x_test": X[30:, :27, :27]}, r"x_test must be \[N, 28, 28\], got \[10, 27, 27\]"),
        ({"x_train": np.stack([X[:30]] * 3, axis=3)}, r"x_train must be \[N, 28, 28\], got \[30, 28, 28, 3\]"),
        ({"x_train": X[:30].astype(np.int32)}, "dtype int32"),
    ],
)
def test_another_form_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        load(saved(tmp_path, **{**SET, **change}))
    assert "set.npz" in message(caught)


@pytest.mark.skipif(
    FOLDER is None or not Path(FOLDER, "images/mnist_uint8.npz").exists(),
    reason="needs NAS_DATA_DIR with images/mnist_uint8.npz",
)
def test_the_real_mnist() -> None:
    data = load("mnist:images/mnist_uint8.npz")
    assert [len(data.split(name)) for name in SPLITS] == [53_000, 2_000, 5_000, 10_000]
    assert data.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.preprocessing.mean == pytest.approx((0.1307,), abs=5e-4)
    assert data.preprocessing.std == pytest.approx((0.3081,), abs=5e-4)
    assert data.digest == "08c15c0e707e0c5c"
