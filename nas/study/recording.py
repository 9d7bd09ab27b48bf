"""From what an evaluator answers to trials of the ledger."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import final

from nas.errors import UnknownName, UsageError
from nas.evaluation import Failure, Metrics, Outcome
from nas.ledger import Ledger
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, SearchSpace


@final
class Recorder:
    """Checks outcomes and writes them down.

    Args:
        space: Knows the exact costs.
        ledger: Where the trials go.
        goals: Their metrics must be there.
    """

    def __init__(self, space: SearchSpace, ledger: Ledger, goals: Sequence[Objective | Constraint]) -> None:
        self._space, self._ledger = space, ledger
        self._wanted = [goal.metric for goal in goals]

    def record(
        self, batch: int, archs: Sequence[Architecture], outcomes: Sequence[Outcome], *, seconds: float,
        asked: Sequence[str] | None,
    ) -> None:  # fmt: skip
        """Record every outcome, or none; a Ctrl-C in the middle waits for the last.

        Args:
            batch: The ask they answer.
            archs: Not in the ledger yet.
            outcomes: Of each.
            seconds: What each took.
            asked: All digests of the batch, where this is the first that is recorded of it.

        Raises:
            UsageError: A metric of the goals is missing, or one contradicts the space's exact costs.
            StudyError: The ledger cannot be written.
        """
        costs = self._space.costs(archs)
        rows = [
            outcome if isinstance(outcome, Failure) else self._complete(outcome, {n: int(costs[n][i]) for n in costs})
            for i, outcome in enumerate(outcomes)
        ]
        with _uninterrupted():
            for arch, row in zip(archs, rows, strict=True):
                error = row.reason if isinstance(row, Failure) else _not_finite(row)
                metrics = row if error is None and not isinstance(row, Failure) else {}
                self._ledger.add(arch, metrics, error=error, batch=batch, seconds=seconds, asked=asked)
                asked = None

    def _complete(self, metrics: Metrics, costs: Mapping[str, int]) -> Metrics:
        """`metrics` with the space's exact costs, as plain floats."""
        out = {name: float(value) for name, value in metrics.items()}
        for name, exact in costs.items():
            if out.setdefault(name, float(exact)) != exact:
                raise UsageError(
                    f"the evaluator says {name} {out[name]:,.10g}, the space {exact:,}; leave it out of the metrics"
                )
        for metric in self._wanted:
            if metric not in out:
                raise UnknownName("metric of this evaluator", metric, out)
        return out


def _not_finite(metrics: Metrics) -> str | None:
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    return ", ".join(bad) or None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold a Ctrl-C back until the block has ended; only the main thread ever gets one."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            before(*held[0])
