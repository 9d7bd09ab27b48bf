"""Which benchmark table goes with which space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import DataError, UsageError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.tabular.flexibert import flexibert_table
from nas.evaluation.tabular.nasbench201 import nasbench201_table
from nas.files import data_folder
from nas.search_spaces import Architecture, SearchSpace, get
from nas.task import ImageClassification, Task

CIFAR10 = {"accuracy": "c10_val_200ep", "test_accuracy": "c10_test_200ep"}


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """How a space's table is read.

    Args:
        read: Metrics by architecture, of a space and a path.
        default_path: Where it is below NAS_DATA_DIR.
        task: What it was measured on, for people.
        fits: Whether a space is of a task like that.
        data: How --data begins where it is that task.
    """

    read: Callable[[Any, Path], Mapping[Architecture, Metrics]]
    default_path: Path
    task: str
    fits: Callable[[Task], bool]
    data: str


TABLES: Mapping[str, BenchmarkTable] = {
    "nasbench201": BenchmarkTable(
        lambda space, path: nasbench201_table(space, path, CIFAR10),
        Path("nas/nb201_full.csv.xz"),
        "CIFAR-10, 32x32 images of 3 channels in 10 classes",
        lambda task: task == ImageClassification(32, 3, 10),
        "cifar10:",
    ),
    "flexibert": BenchmarkTable(
        flexibert_table,
        Path("nas/flexibert_250.json"),
        "GLUE",
        lambda task: True,
        "text:",
    ),
}


def read_table(space: SearchSpace, path: Path) -> Mapping[Architecture, Metrics]:
    """Metrics by architecture, `accuracy` among them; those of the benchmark's networks, whatever the space's width.

    Args:
        space: Its kind says how the table is read.
        path: The file; a relative one is also looked for under NAS_DATA_DIR.

    Raises:
        UsageError: No table is known for this kind of space, or it is of another task.
        DataError: The file is missing, damaged, or has no row of the space.
    """
    if space.name not in TABLES:
        raise _no_table(space.name)
    table = TABLES[space.name]
    if not table.fits(space.task):
        raise UsageError(f"tables for space {space.name!r} are of {table.task}; these data have {space.task}")
    rows = table.read(space, path)
    if not rows:
        raise DataError(f"{path.name} has no row of space {space.name!r}")
    return rows


def benchmark_space(name: str) -> SearchSpace:
    """The space of the networks that a benchmark's table was measured on.

    Args:
        name: Of a space.

    Raises:
        UsageError: No table is known for it.
    """
    if name not in TABLES:
        raise _no_table(name)
    return get(name)


def is_benchmark_space(space: SearchSpace) -> bool:
    """Whether these are the benchmark's own networks, and not smaller or larger ones of the same cells."""
    return space.name in TABLES and space.preset == benchmark_space(space.name).preset


def _no_table(name: str) -> UsageError:
    known = ", ".join(sorted(TABLES))
    return UsageError(f"no benchmark table is known for space {name!r}; there are some for {known}")


def default_table(space: SearchSpace, data: str) -> Path | None:
    """The table of this space's own networks and of these data below NAS_DATA_DIR, if it is there.

    Args:
        space: With the benchmark's settings.
        data: As --data has it.
    """
    table, folder = TABLES.get(space.name), data_folder()
    if table is None or folder is None or not data.startswith(table.data):
        return None
    if not is_benchmark_space(space) or not table.fits(space.task):
        return None
    return table.default_path if (folder / table.default_path).is_file() else None
