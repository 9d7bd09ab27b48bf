"""How far a run is, how fast it goes, and what it saved."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from nas.evaluation import Totals
from nas.objectives import Constraint, Objective
from nas.reports.selection import best
from nas.searchers import Trial


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is.

    Args:
        done: Finished trials, those of earlier runs too.
        total: Trials that the run ends with.
        best: The first objective's best value that meets the constraints; None before there is one.
        seconds: Since this run began.
        trials_per_s: Of this run alone.
        seconds_left: At this rate; None before the first new trial.
        totals: What the evaluator did in this run, and what sharing and racing saved; None where it does not count.
        workers: Processes that evaluate and are alive now; None where nobody said.
    """

    done: int
    total: int
    best: float | None
    seconds: float
    trials_per_s: float
    seconds_left: float | None
    totals: Totals | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Where a study reads what its evaluator has done.

    Args:
        totals: Sums since the evaluator was made.
        workers: How many processes that evaluate are alive now.
    """

    totals: Callable[[], Totals]
    workers: Callable[[], int]


@final
class Meter:
    """Measures a run's progress; each reading looks only at the trials since the last one."""

    def __init__(
        self, before: int, total: int, objectives: Sequence[Objective], constraints: Sequence[Constraint],
        counters: Counters | None,
    ) -> None:  # fmt: skip
        self.before, self._total = before, total
        self._objectives, self._constraints, self._counters = objectives, constraints, counters
        self._began = time.perf_counter()
        self._first = None if counters is None else counters.totals()
        self._seen = 0
        self._best: Trial | None = None

    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._began

    def totals(self) -> Totals | None:
        """What the evaluator did in this run."""
        if self._counters is None or self._first is None:
            return None
        return self._counters.totals() - self._first

    def read(self, trials: Sequence[Trial]) -> Progress:
        """Progress with these trials finished."""
        candidates = [*([] if self._best is None else [self._best]), *trials[self._seen :]]
        self._best, self._seen = best(candidates, self._objectives, self._constraints), len(trials)
        value = None if self._best is None else self._best.metrics[self._objectives[0].metric]
        new, seconds = len(trials) - self.before, max(self.seconds(), 1e-9)
        left = (self._total - len(trials)) * seconds / new if new > 0 else None
        workers = None if self._counters is None else self._counters.workers()
        return Progress(len(trials), self._total, value, seconds, new / seconds, left, self.totals(), workers)

    def document(self, finished: int) -> dict[str, Any] | None:
        """The run in figures, for the ledger and for JSON; None where nobody counts."""
        totals = self.totals()
        if totals is None or self._counters is None:
            return None
        run = {"trials": finished, "new": finished - self.before, "run_s": self.seconds()}
        return run | totals.to_json() | {"workers": self._counters.workers()}
