"""Architectures whose metrics somebody has measured: a table answers in the place of training."""

from __future__ import annotations

import csv
import difflib
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from nas import files
from nas.errors import DataError
from nas.evaluation.evaluator import Failure, Metrics, Outcome
from nas.search_spaces import Architecture

Rows = Mapping[Architecture, Metrics]


@final
class TableEvaluator:
    """Answers from a table; an architecture that it does not hold is a `Failure`.

    >>> from nas import search_spaces
    >>> space = search_spaces.get("nasbench201")
    >>> TableEvaluator({space.largest(): {"accuracy": 0.9}}).evaluate([space.largest()])
    [{'accuracy': 0.9}]

    Args:
        rows: The metrics of each architecture.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def evaluate(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """The metrics of each architecture."""
        return [
            dict(self._rows[arch]) if arch in self._rows else Failure(f"{arch.digest} is not in the table")
            for arch in archs
        ]


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, .xz or not, that has these columns; see `located`.

    Raises:
        DataError: There is no such file, it is damaged, or it lacks a column; names the nearest.
    """
    file_path = located(path)
    try:
        with (lzma.open if file_path.suffix == ".xz" else open)(file_path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            for column in columns:
                if column not in (reader.fieldnames or ()):
                    near = difflib.get_close_matches(column, reader.fieldnames or (), n=1)
                    hint = f"; the nearest that it has is {near[0]!r}" if near else ""
                    raise DataError(f"{path.name} has no column {column!r}, which this table needs{hint}")
            rows = list(reader)
    except (csv.Error, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable table: {error}") from None
    short = next((number for number, row in enumerate(rows) if None in row.values() or None in row), None)
    if short is not None:
        raise DataError(f"{path} is not a readable table: row {short} has not as many fields as the header")
    return rows


def read_json(path: Path) -> Any:
    """What a JSON file holds; see `located`.

    Raises:
        DataError: There is no such file, or it is no JSON.
    """
    return files.read_json(located(path), failure=DataError, hint="download it again")


def located(path: Path) -> Path:
    """The file at `path`; a relative one that does not exist is looked for below NAS_DATA_DIR.

    Raises:
        DataError: There is none.
    """
    file_path = files.locate(str(path), usage="--table FILE")
    if not file_path.is_file():
        raise DataError(f"{path} is no file")
    return file_path
