"""Trials with made-up metrics, and tables as text."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from nas.objectives import Objective
from nas.searchers import Trial
from tests.searching import SPACE, pool

ARCHS = SPACE.architectures(pool())
ACCURACY, MACS, LATENCY = Objective("accuracy", "max"), Objective("macs", "min"), Objective("latency_ms", "min")
GOALS = (ACCURACY, MACS)


def trial(number: int, accuracy: float | None, macs: float = 0.0, **more: float) -> Trial:
    metrics = {} if accuracy is None else {"accuracy": accuracy, "macs": macs, **more}
    return Trial(number, ARCHS[number], metrics, number // 4)


def trials_of(rows: Sequence[tuple[float | None, ...]]) -> list[Trial]:
    return [
        trial(i, row[0], *row[1:2], **({"latency_ms": row[2]} if len(row) > 2 else {})) for i, row in enumerate(rows)
    ]  # type: ignore[arg-type]


def realistic(n: int, **more: float) -> list[Trial]:
    """A front of `n` members among as many trials again that each is better than."""
    out = []
    for i in range(n):
        cost = 1e5 * 1.3**i
        facts = {"test_accuracy": 0.5 + 0.4 * i / n, "params": cost / 9, "latency_ms": 0.3 + i / 7, **more}
        out.append(trial(2 * i, 0.51 + 0.4 * i / n, cost, **facts))
        out.append(trial(2 * i + 1, 0.49 + 0.4 * i / n, cost, **facts))
    return out


def rendered(table: Table, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue().splitlines()
