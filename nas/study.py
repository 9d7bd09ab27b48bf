"""The search loop: ask, evaluate, record, tell.

Every finished trial is in the ledger before the next ask, and the size of an ask is the study's own, so a search that
was killed goes on to the trials it would have had, and evaluates nothing twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import final

from nas import report
from nas.errors import NasError, StudyError, UnknownName, UsageError
from nas.evaluation import Evaluator, Failure, Metrics
from nas.ledger import Identity, Ledger
from nas.search_spaces import Architecture, Constraint, Objective, SearchSpace
from nas.searchers import Searcher, Trial

BATCH = 32
PATIENCE = 20
PROVENANCE = ("weights", "data", "device")


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
    """

    done: int
    total: int
    best: float | None
    seconds: float
    trials_per_s: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Args:
        trials: All finished trials of the ledger, oldest first.
        new: How many of them this run evaluated.
        exhausted: Whether it stopped early because the searcher found nothing new.
        wall_s: What the run took.
    """

    trials: tuple[Trial, ...]
    new: int
    exhausted: bool
    wall_s: float


@final
class Study:
    """One search and its ledger; a context manager that lets go of the run's folder at the end.

    A failed evaluation costs one trial, and its searcher is told so by empty metrics:

    * A `Failure` from the evaluator, or a NaN or infinite metric, fails its architecture.
    * Where the evaluator raises a `NasError` for a call, every architecture of the call is evaluated alone, and those
      that raise again fail. If that leaves a batch of several without a single success, or the ledger has none at all,
      the set-up is taken to be broken: the error is raised and nothing of the batch is recorded.
    * Any `UsageError`, and every error that is not a `NasError`, ends the run at once.

    Args:
        space: What is searched.
        searcher: Proposes architectures; new, nothing told yet.
        evaluator: Measures them.
        objectives: What is wanted, the first decides `best`.
        constraints: What has to hold.
        seed: The searcher's seed.
        directory: The run's folder; without it and `storage` the ledger is in memory.
        storage: An Optuna storage URL in place of the folder's journal. The folder, if given, is still locked;
            without one it is yours to see that a single driver uses the storage.
        resume: Whether to go on where the ledger has trials; else they are an error.
        provenance: Digests "weights" and "data", and the "device", kept with every trial.
        batch: How many architectures one ask wants.
        patience: After so many consecutive batches without a new architecture the space counts as exhausted.
        name: Name of the Optuna study; None means the folder's with a URL, else "search".

    Raises:
        StudyError: The ledger is in use, damaged, of another search, or not empty without `resume`.
        UsageError: No objective, or a number below one.
    """

    def __init__(
        self, space: SearchSpace, searcher: Searcher, evaluator: Evaluator, objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (), *, seed: int, directory: Path | None = None,
        storage: str | None = None, resume: bool = False, provenance: Mapping[str, str] | None = None,
        batch: int = BATCH, patience: int = PATIENCE, name: str | None = None,
    ) -> None:  # fmt: skip
        origin = dict(provenance or {})
        _check_settings(objectives, origin, batch=batch, patience=patience)
        _check_searcher(searcher, space, objectives, constraints, seed)
        self.objectives, self.constraints = tuple(objectives), tuple(constraints)
        self._space, self._searcher, self._evaluator = space, searcher, evaluator
        self._size, self._patience = batch, patience
        self._told = 0  # complete batches
        self._idle = 0  # the last of them that brought nothing new
        identity = Identity(
            space.to_json(), space.digest, origin.get("weights", ""), origin.get("data", ""),
            [str(o) for o in objectives], [str(c) for c in constraints], _described(searcher), seed, batch,
        )  # fmt: skip
        self._ledger = Ledger(
            space, identity, self.objectives, self.constraints, device=origin.get("device", ""),
            directory=directory, storage=storage, name=name, resume=resume,
        )  # fmt: skip

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the next driver into the run's folder."""
        self._ledger.close()

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, oldest first; failed ones have no metrics."""
        return self._ledger.trials

    def front(self, objectives: Sequence[Objective] | None = None) -> list[Trial]:
        """The feasible trials that none dominates, see `report.front`; None means the study's own objectives."""
        return report.front(self.trials, self.objectives if objectives is None else objectives, self.constraints)

    @property
    def best(self) -> Trial | None:
        """The first objective's best feasible trial; None if there is none."""
        return report.best(self.trials, self.objectives, self.constraints)

    @property
    def knee(self) -> Trial | None:
        """The front member farthest from the chord of the front; None if nothing is feasible."""
        return report.knee(self.front(), self.objectives)

    def run(self, trials: int, *, progress: Callable[[Progress], None] | None = None) -> Result:
        """Search until the ledger holds `trials` finished trials, those of earlier runs included.

        The last batch is asked in full and evaluated as far as trials are left; a later run evaluates its rest, so
        going on to more trials gives what one longer run would have given.

        Args:
            trials: How many the ledger shall hold.
            progress: Called at the start and after every batch.

        Raises:
            UsageError: `trials` is below one, or the evaluator lacks a metric that the goals name.
            StudyError: The ledger cannot be written, or was filled by a searcher that asks for something else.
            NasError: What the evaluator raised where no architecture can be evaluated.
        """
        if trials < 1:
            raise UsageError(f"the number of trials must be at least 1, got {trials}")
        self._ledger.refresh()
        meter = _Meter(len(self._ledger), trials, self.objectives, self.constraints)
        state = meter.read(self.trials)
        if progress is not None:
            progress(state)
        while len(self._ledger) < trials and self._idle < self._patience:
            self._step(trials - len(self._ledger))
            if len(self._ledger) > state.done:
                state = meter.read(self.trials)
                if progress is not None:
                    progress(state)
        exhausted = len(self._ledger) < trials
        return Result(tuple(self.trials), len(self._ledger) - meter.before, exhausted, meter.seconds())

    def _step(self, left: int) -> None:
        """Bring one batch to its end, from the ledger as far as it holds it; with too few trials left, part of it."""
        batch = self._told
        recorded = self._ledger.asked(batch)
        told = self._known(recorded) if recorded is not None else None
        if told is None:
            archs = self._searcher.ask(self._size)
            digests = [arch.digest for arch in archs]
            if recorded is not None and list(recorded) != digests:
                raise StudyError(
                    f"the searcher asks for other architectures than the ledger has for batch {batch}; "
                    "use the version of nas that began this search, or another --out"
                )
            self._evaluate(batch, archs, digests, left)
            told = self._known(digests)
        if told is not None:
            self._searcher.tell(told)
            self._told += 1
            self._idle = 0 if any(trial.batch == batch for trial in told) else self._idle + 1

    def _known(self, digests: Sequence[str]) -> list[Trial] | None:
        """The trials of a batch in asked order; None unless all are finished."""
        found = [trial for trial in map(self._ledger.get, digests) if trial is not None]
        return found if len(found) == len(digests) else None

    def _evaluate(self, batch: int, archs: Sequence[Architecture], digests: Sequence[str], left: int) -> None:
        """Evaluate and record what the ledger lacks, at most `left` of it."""
        missing = {d: a for d, a in zip(digests, archs, strict=True) if self._ledger.get(d) is None}
        fresh = list(missing.values())[:left]
        if not fresh:
            return
        begin = time.perf_counter()
        outcomes = self._outcomes(batch, fresh)
        seconds = (time.perf_counter() - begin) / len(fresh)
        costs = self._space.costs(fresh)
        rows = [
            outcome if isinstance(outcome, str) else self._complete(outcome, int(params), int(macs))
            for outcome, params, macs in zip(outcomes, costs["params"], costs["macs"], strict=True)
        ]
        asked = digests if self._ledger.asked(batch) is None else None
        for arch, row in zip(fresh, rows, strict=True):
            error = row if isinstance(row, str) else _not_finite(row)
            metrics = row if error is None and not isinstance(row, str) else {}
            self._ledger.add(arch, metrics, error=error, batch=batch, seconds=seconds, asked=asked)
            asked = None

    def _outcomes(self, batch: int, archs: Sequence[Architecture]) -> list[Metrics | str]:
        """The metrics of each architecture, or why it has none."""
        try:
            return self._measured(archs)
        except UsageError:
            raise
        except NasError as error:
            outcomes: list[Metrics | str] = [str(error)] if len(archs) == 1 else [self._alone(arch) for arch in archs]
            if all(isinstance(outcome, str) for outcome in outcomes) and self._is_broken(batch, len(archs)):
                raise
            return outcomes

    def _measured(self, archs: Sequence[Architecture]) -> list[Metrics | str]:
        rows = self._evaluator.evaluate(archs)
        if len(rows) != len(archs):
            raise UsageError(
                f"the evaluator gave {len(rows)} results for {len(archs)} architectures; it must give each one"
            )
        return [row.reason if isinstance(row, Failure) else row for row in rows]

    def _alone(self, arch: Architecture) -> Metrics | str:
        try:
            return self._measured([arch])[0]
        except UsageError:
            raise
        except NasError as error:
            return str(error)

    def _is_broken(self, batch: int, failures: int) -> bool:
        """Whether a call without a success speaks against the set-up; the same before and after a resume."""
        succeeded = [trial.batch for trial in self.trials if trial.metrics]
        return not succeeded or (failures > 1 and batch not in succeeded)

    def _complete(self, metrics: Metrics, params: int, macs: int) -> Metrics:
        """`metrics` with the space's exact costs, as plain floats."""
        out = {name: float(value) for name, value in metrics.items()}
        for name, exact in (("params", params), ("macs", macs)):
            if out.setdefault(name, float(exact)) != exact:
                raise UsageError(
                    f"the evaluator says {name} {out[name]:,.10g}, the space {exact:,}; leave it out of the metrics"
                )
        for metric in [o.metric for o in self.objectives] + [c.metric for c in self.constraints]:
            if metric not in out:
                raise UnknownName("metric of this evaluator", metric, out)
        return out


@final
class _Meter:
    """Measures a run's progress; each reading looks only at the trials since the last one."""

    def __init__(
        self, before: int, total: int, objectives: Sequence[Objective], constraints: Sequence[Constraint]
    ) -> None:
        self.before, self._total = before, total
        self._objectives, self._constraints = objectives, constraints
        self._begin = time.perf_counter()
        self._seen = 0
        self._best: Trial | None = None

    def seconds(self) -> float:
        return time.perf_counter() - self._begin

    def read(self, trials: Sequence[Trial]) -> Progress:
        candidates = [*([] if self._best is None else [self._best]), *trials[self._seen :]]
        self._best, self._seen = report.best(candidates, self._objectives, self._constraints), len(trials)
        value = None if self._best is None else self._best.metrics[self._objectives[0].metric]
        new, seconds = len(trials) - self.before, max(self.seconds(), 1e-9)
        left = (self._total - len(trials)) * seconds / new if new > 0 else None
        return Progress(len(trials), self._total, value, seconds, new / seconds, left)


def _not_finite(metrics: Metrics) -> str | None:
    bad = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    return ", ".join(bad) or None


def _check_settings(objectives: Sequence[Objective], origin: Mapping[str, str], *, batch: int, patience: int) -> None:
    if not objectives:
        raise UsageError("a study needs at least one objective, such as 'accuracy'")
    metrics = [objective.metric for objective in objectives]
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise UsageError(f"the objective {metric!r} is given twice; leave one out")
    for what, value in (("batch", batch), ("patience", patience)):
        if value < 1:
            raise UsageError(f"{what} must be at least 1, got {value}")
    for key in origin:
        if key not in PROVENANCE:
            raise UnknownName("provenance", key, PROVENANCE)


def _check_searcher(
    searcher: Searcher,
    space: SearchSpace,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    seed: int,
) -> None:
    """The searcher must be of the same search; a ledger that says otherwise could not be continued."""
    problem = searcher.history.problem
    for what, has, wanted in (
        ("space", problem.space.digest, space.digest),
        ("objectives", tuple(problem.objectives), tuple(objectives)),
        ("constraints", tuple(problem.constraints), tuple(constraints)),
        ("seed", searcher.seed, seed),
    ):
        if has != wanted:
            raise UsageError(f"the searcher has another {what} than the study; give both the same")
    if searcher.history.batch:
        raise UsageError("the searcher was told trials already; a study takes a new one and tells it the ledger's")


def _described(searcher: Searcher) -> str:
    """The strategy with its settings, the same in every process."""
    strategy = searcher.strategy
    return repr(strategy) if is_dataclass(strategy) else type(strategy).__name__
