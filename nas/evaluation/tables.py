"""Which benchmark table goes with which space."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UsageError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.flexibert_table import flexibert_table
from nas.evaluation.nasbench201_table import nasbench201_table
from nas.search_spaces import Architecture, FlexiBertSpace, NasBench201Space, SearchSpace

CIFAR10 = {"accuracy": "c10_val_200ep", "test_accuracy": "c10_test_200ep"}


@dataclass(frozen=True, slots=True)
class Table:
    """How a space's table is read.

    Args:
        read: Metrics by architecture, of a space and a path.
        usual: Where it is below NAS_DATA_DIR.
        fits: Whether a space is of the task that the table was measured on.
    """

    read: Callable[[Any, Path], Mapping[Architecture, Metrics]]
    usual: Path
    fits: Callable[[Any], bool]


TABLES: Mapping[type[SearchSpace], Table] = {
    NasBench201Space: Table(
        lambda space, path: nasbench201_table(space, path, CIFAR10),
        Path("nas/nb201_full.csv.xz"),
        lambda space: (space.input_size, space.in_channels, space.num_classes) == (32, 3, 10),
    ),
    FlexiBertSpace: Table(flexibert_table, Path("nas/flexibert_250.json"), lambda space: True),
}


def read_table(space: SearchSpace, path: Path) -> Mapping[Architecture, Metrics]:
    """Metrics by architecture, `accuracy` among them.

    Args:
        space: Its kind says how the table is read.
        path: The file; a relative one is also looked for under NAS_DATA_DIR.

    Raises:
        UsageError: No table is known for this kind of space.
        DataError: The file is missing or damaged.
    """
    if type(space) not in TABLES:
        known = sorted(kind.name for kind in TABLES)
        raise UsageError(f"no benchmark table is known for space {space.name!r}; there are some for {', '.join(known)}")
    return TABLES[type(space)].read(space, path)


def found_table(space: SearchSpace) -> Path | None:
    """The table of this space and task below NAS_DATA_DIR, if it is there."""
    table = TABLES.get(type(space))
    if table is None or not table.fits(space) or "NAS_DATA_DIR" not in os.environ:
        return None
    path = Path(os.environ["NAS_DATA_DIR"]) / table.usual
    return table.usual if path.is_file() else None
