"""NAS-Bench-201's measured accuracies, from a CSV with one cell a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.tabular.evaluator import read_csv
from nas.search_spaces import Architecture
from nas.search_spaces.cells.nasbench201 import EDGES, OPERATIONS, NasBench201Space

# Digits of the column `ops`, in the benchmark's own order of operations; edges are in the order of `EDGES`.
_DIGITS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_POSITIONS = {str(digit): OPERATIONS.index(name) for digit, name in enumerate(_DIGITS)}


def nasbench201_table(space: NasBench201Space, path: Path, columns: Mapping[str, str]) -> dict[Architecture, Metrics]:
    """Metrics by architecture; cells without one of them are left out.

    Args:
        space: Of any width, depth and task; the cells are the same.
        path: A CSV file with a column `ops`, six digits a cell.
        columns: Metric to column, such as {"accuracy": "c10_val_200ep"}; percents become fractions where the metric
            is an accuracy.

    Raises:
        DataError: The file is missing, damaged, or lacks a column (names the nearest), or `ops` holds something else.
    """
    rows = read_csv(path, ["ops", *columns.values()])
    for row in rows:
        if len(row["ops"]) != len(EDGES) or not set(row["ops"]) <= _POSITIONS.keys():
            raise DataError(f"{path.name}: {row['ops']!r} in column 'ops'; a cell is {len(EDGES)} digits of 0 to 4")
    indices = np.array([[_POSITIONS[digit] for digit in row["ops"]] for row in rows], dtype=np.int16)
    table = {}
    for arch, row in zip(space.architectures(indices.reshape(-1, len(EDGES))), rows, strict=True):
        metrics = {name: _number(row[column], path, column) for name, column in columns.items()}
        if all(map(math.isfinite, metrics.values())):
            table[arch] = {name: v / 100 if name.endswith("accuracy") else v for name, v in metrics.items()}
    return table


def _number(text: str, path: Path, column: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise DataError(f"{path.name}: {text!r} in column {column!r} is no number") from None
