from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.evaluation.tabular.nasbench201 import nasbench201_table
from nas.search_spaces import NasBench201Space, get
from nas.task import ImageClassification

FOLDER = os.environ.get("NAS_DATA_DIR")
TABLE = "nas/nb201_full.csv.xz"
real = pytest.mark.skipif(
    FOLDER is None or not (Path(FOLDER) / TABLE).exists(), reason=f"needs NAS_DATA_DIR with {TABLE}"
)


def space() -> NasBench201Space:
    made = get("nasbench201", task=ImageClassification(32, 3, 10))
    assert isinstance(made, NasBench201Space)
    return made


def written(folder: Path, *rows: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(["ops,val,ms", *rows]) + "\n")
    return path


def test_digits_name_operations_in_the_benchmarks_order(tmp_path: Path) -> None:
    path = written(tmp_path, "012340,90.5,1.5", "000000,,2", "111111,nan,2", "222222,10,2")
    found = nasbench201_table(space(), path, {"accuracy": "val", "latency_ms": "ms"})
    first, second = found
    assert first.values == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none")
    assert found[first] == {"accuracy": pytest.approx(0.905), "latency_ms": 1.5}
    assert set(second.values) == {"nor_conv_1x1"}  # the two without a number are left out


def test_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    assert nasbench201_table(space(), written(tmp_path), {"accuracy": "val"}) == {}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("01234,1,1", "'01234' in column 'ops'; a cell is 6 digits of 0 to 4"),
        ("0123401,1,1", "'0123401' in column 'ops'"),
        ("012345,1,1", "'012345' in column 'ops'"),
        (",1,1", "'' in column 'ops'"),
        ("012340,many,1", "'many' in column 'val' is no number"),
        ("012340", "not as many fields as the header"),
    ],
)
def test_damaged_rows(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        nasbench201_table(space(), written(tmp_path, "000000,1,1", row), {"accuracy": "val"})
    assert "\n" not in str(error.value)


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'vall', .* nearest that it has is 'val'"):
        nasbench201_table(space(), written(tmp_path), {"accuracy": "vall"})


@real
def test_costs_are_those_of_the_benchmark() -> None:
    found = nasbench201_table(space(), Path(TABLE), {"params": "params", "mega_macs": "conv_flops_M"})
    assert len(found) == space().size == 15_625
    costs = space().costs(list(found))
    assert costs["params"].tolist() == [row["params"] for row in found.values()]
    published = np.array([row["mega_macs"] for row in found.values()])
    assert np.abs(costs["macs"] / 1e6 - published).max() < 1e-4  # which has four decimals


@real
def test_the_best_cell() -> None:
    found = nasbench201_table(space(), Path(TABLE), {"test_accuracy": "c10_test_200ep"})
    best = max(found, key=lambda arch: found[arch]["test_accuracy"])
    assert found[best]["test_accuracy"] == pytest.approx(0.9437, abs=1e-4)
