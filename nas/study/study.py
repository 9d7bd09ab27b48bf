"""The search: what is searched, by whom, how far, and where it is written down.

Every finished trial is in the ledger before the next ask, and the size of an ask is the study's own, so a search that
was killed goes on to the trials it would have had, and evaluates nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from nas.errors import UnknownName, UsageError
from nas.evaluation import Evaluator, StreamingEvaluator
from nas.ledger import Identity, Ledger, trials_dataframe
from nas.objectives import Constraint, Objective
from nas.reports import selection
from nas.search_spaces import SearchSpace
from nas.searchers import Searcher, Trial
from nas.study.ordered import InOrder, Loop
from nas.study.progress import Counters, Meter, Progress
from nas.study.recording import Recorder
from nas.study.steady import SteadyState

if TYPE_CHECKING:
    import pandas

BATCH = 32
PATIENCE = 20
PROVENANCE = ("weights", "data", "device")


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Args:
        trials: All finished trials of the ledger, oldest first.
        new: How many of them this run evaluated.
        exhausted: Whether it stopped early because the searcher found nothing new.
        wall_s: What the run took.
        totals: The run in figures, as the ledger keeps them: `trials`, `new`, `run_s`, `workers` and
            `Totals.to_json()`; None where nobody counts.
    """

    trials: tuple[Trial, ...]
    new: int
    exhausted: bool
    wall_s: float
    totals: Mapping[str, Any] | None = None


@final
class Study:
    """One search and its ledger; a context manager that lets go of the run's folder at the end.

    A failed evaluation costs one trial, and its searcher is told so by empty metrics:

    * A `Failure` from the evaluator, or a NaN or infinite metric, fails its architecture.
    * Where the evaluator raises a `NasError` for a call, every architecture of the call is evaluated alone, and those
      that raise again fail. If that leaves a batch of several without a single success, or the ledger has none at all,
      the set-up is taken to be broken: the error is raised and nothing of the batch is recorded.
    * Any `UsageError`, and every error that is not a `NasError`, ends the run at once.

    An asynchronous study keeps every slot of its evaluator at work: whatever chunk is finished first is recorded, told
    and replaced by as many new architectures. Its trials depend on that order. It goes on after a kill too, from the
    trials that the ledger holds, but not to those of an undisturbed run; any error that the evaluator raises ends it.

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
        batch: How many architectures one ask wants; asynchronously, how many are under way, at least one a slot.
        patience: After so many consecutive batches without a new architecture the space counts as exhausted.
        asynchronous: Tell results as they come, in place of asked order; needs a `StreamingEvaluator`.
        together: Whether the evaluator's results depend on who is in the call, as a race's do: batches are then always
            evaluated in full.
        counters: Where to read what the evaluator has done, for progress and ledger.
        name: Name of the Optuna study; None means the folder's with a URL, else "search".

    Raises:
        StudyError: The ledger is in use, damaged, of another search, or not empty without `resume`.
        UsageError: No objective, a number below one, or an evaluator that cannot work asynchronously.
    """

    def __init__(
        self, space: SearchSpace, searcher: Searcher, evaluator: Evaluator, objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (), *, seed: int, directory: Path | None = None,
        storage: str | None = None, resume: bool = False, provenance: Mapping[str, str] | None = None,
        batch: int = BATCH, patience: int = PATIENCE, asynchronous: bool = False, together: bool = False,
        counters: Counters | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        origin = dict(provenance or {})
        _check_settings(objectives, origin, batch=batch, patience=patience)
        _check_searcher(searcher, space, objectives, constraints, seed)
        self.objectives, self.constraints = tuple(objectives), tuple(constraints)
        streaming = _streaming(evaluator) if asynchronous else None
        self._searcher, self._patience, self._counters = searcher, patience, counters
        identity = Identity(
            space.to_json(), space.digest, origin.get("weights", ""), origin.get("data", ""),
            [str(o) for o in objectives], [str(c) for c in constraints], _described(searcher), seed, batch,
            asynchronous, together,
        )  # fmt: skip
        self._ledger = Ledger(
            space, identity, self.objectives, self.constraints, device=origin.get("device", ""),
            directory=directory, storage=storage, name=name, resume=resume,
        )  # fmt: skip
        recorder = Recorder(space, self._ledger, [*objectives, *constraints])
        self._loop: Loop = (
            InOrder(searcher, evaluator, self._ledger, recorder, batch, together=together)
            if streaming is None
            else SteadyState(searcher, streaming, self._ledger, recorder, batch)
        )

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

    def trials_dataframe(self) -> pandas.DataFrame:
        """The finished trials as a table, one row each, with a column for every gene and every metric.

        Raises:
            UsageError: pandas is not installed.
        """
        return trials_dataframe(self._ledger.space, self._ledger.entries)

    def front(self, objectives: Sequence[Objective] | None = None) -> list[Trial]:
        """The feasible trials that none dominates, see `selection.front`; None means the study's own objectives."""
        return selection.front(self.trials, self.objectives if objectives is None else objectives, self.constraints)

    @property
    def best(self) -> Trial | None:
        """The first objective's best feasible trial; None if there is none."""
        return selection.best(self.trials, self.objectives, self.constraints)

    @property
    def knee(self) -> Trial | None:
        """The front member farthest from the chord of the front; None if nothing is feasible."""
        return selection.knee(self.front(), self.objectives)

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
        self._loop.begin()
        meter = Meter(len(self._ledger), trials, self.objectives, self.constraints, self._counters)
        try:
            self._until(trials, meter, progress)
        except KeyboardInterrupt:
            self._record_totals(meter)
            raise
        exhausted, new = len(self._ledger) < trials, len(self._ledger) - meter.before
        return Result(tuple(self.trials), new, exhausted, meter.seconds(), self._record_totals(meter))

    def _until(self, trials: int, meter: Meter, progress: Callable[[Progress], None] | None) -> None:
        """Step until there are as many trials, or nothing new is found."""
        state = meter.read(self.trials)
        if progress is not None:
            progress(state)
        while len(self._ledger) < trials and self._loop.idle < self._patience:
            self._loop.step(trials - len(self._ledger))
            if len(self._ledger) > state.done:
                state = meter.read(self.trials)
                if progress is not None:
                    progress(state)

    def _record_totals(self, meter: Meter) -> Mapping[str, Any] | None:
        """Write the run's figures into the ledger."""
        document = meter.document(len(self._ledger))
        if document is not None:
            self._ledger.add_totals(document)
        return document


def _streaming(evaluator: Evaluator) -> StreamingEvaluator:
    if not isinstance(evaluator, StreamingEvaluator):
        raise UsageError(
            f"{type(evaluator).__name__} takes one batch at a time and cannot work asynchronously; "
            "use a pool of workers, or leave asynchronous out"
        )
    return evaluator


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
