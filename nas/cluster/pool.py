"""Evaluation on many processes and machines with Ray: each keeps one evaluator, and only architectures travel."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, final

from nas.cluster.batches import Answer, Batch, Costs, partition, retried
from nas.cluster.connection import connected
from nas.cluster.workers import PoolSettings, WorkerGroup
from nas.errors import UsageError
from nas.evaluation.evaluator import Evaluator, Failure, Outcome
from nas.evaluation.totals import Totals
from nas.search_spaces import Architecture


@dataclass(slots=True)
class _Job:
    """One call of `evaluate` or `submit`."""

    archs: tuple[Architecture, ...]
    streamed: bool
    missing: int = field(init=False)
    outcomes: dict[Architecture, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.missing = len(set(self.archs))

    def take(self, outcomes: Mapping[Architecture, Outcome]) -> None:
        self.outcomes.update(outcomes)
        self.missing -= len(outcomes)


@final
class RayEvaluator:
    """A pool of workers, each a process of its own that builds an evaluator once and keeps it.

    A worker that dies is replaced and its batch asked again, halved, so that an architecture answers only for deaths
    that it causes alone; after three of those it is a `Failure`. A batch that needs too much memory is halved the
    same way. Where an evaluator raises a NasError, the architecture that it raises it for is a `Failure`. The metrics
    are those of one evaluator in this process, as far as its own do not depend on who else is in a call.

    Use it as a context manager, or call `close`.

    Args:
        build: A function at the top level of a module that the workers can import too.
        arguments: Its keyword arguments; each travels once, through Ray's object store.
        workers: How many processes; where the cluster has room for fewer, those do the work.
        address: The Ray cluster, "auto" for the one of this machine; None takes the one that this process is
            connected to, or that RAY_ADDRESS names, or starts one here.
        cpus: CPUs of each worker.
        gpus: GPUs of each worker; a fraction shares one.
        batch: Most architectures a call of a worker by `evaluate`; `submit` leaves its batches whole.
        threads: Of torch in each worker; None: as many as it has CPUs, at least 1.
        costs: Relative costs of architectures, each after those before it, so that batches take the same time; None:
            all cost the same.
        patience_s: How long to wait while no worker at all finds a place in the cluster.

    Raises:
        UsageError: Ray is missing, the cluster has no room for a worker, the evaluator cannot be built as asked, or a
            setting is out of range.
        ClusterError: No cluster answers.
        WorkersLost: All workers die while they start.
    """

    def __init__(
        self,
        build: Callable[..., Evaluator],
        arguments: Mapping[str, object],
        *,
        workers: int,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        batch: int = 8,
        threads: int | None = None,
        costs: Costs | None = None,
        patience_s: float = 60.0,
    ) -> None:
        if batch < 1:
            raise UsageError(f"a batch has at least 1 architecture, got {batch}")
        settings = PoolSettings(workers, cpus, gpus, max(1, round(cpus)) if threads is None else threads, patience_s)
        self._workers, self._batch, self._costs = workers, batch, costs
        self._numbers = itertools.count()
        self._queue = deque[Batch]()
        self._jobs: dict[int, _Job] = {}  # those that miss an outcome
        self._finished = deque[_Job]()
        self._totals, self._began = Totals(), 0.0
        self._closing = ExitStack()
        with ExitStack() as opening:
            ray = opening.enter_context(
                connected(address, cpus=math.ceil(workers * cpus), purpose="evaluation on workers")
            )
            self._group = WorkerGroup(ray, build, arguments, settings)
            opening.callback(self._group.close)
            if address is None and not self._group.fits():
                raise UsageError(f"no worker can be placed: {self._group.resources()}")
            self._group.gather()
            self._closing = opening.pop_all()
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and Ray where it was started or connected to here; may be called again."""
        self._open = False
        self._closing.close()

    @property
    def slots(self) -> int:
        """How many batches are worked on at the same time: the number of workers asked for."""
        return self._workers

    @property
    def alive(self) -> int:
        """Workers that are ready or at work; one that starts is none, one that died while idle is noticed later."""
        return self._group.alive

    @property
    def totals(self) -> Totals:
        """What was done so far; seconds are those in which there was work.

        Multiply-adds are those of what travelled: identical architectures of a call do so once.
        """
        running = time.monotonic() - self._began if self._jobs else 0.0
        return replace(self._totals, seconds=self._totals.seconds + running)

    def evaluate(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """Outcomes in the order of `archs`; identical architectures are evaluated once.

        Args:
            archs: Members of one space.

        Raises:
            UsageError: An evaluator says so, the pool is closed, or the cluster has no room left.
            WorkersLost: All workers die while they start.
        """
        number = self._add(archs, streamed=False)
        job = self._jobs.get(number)
        if job is None:
            return []
        try:
            parts = partition(job.archs, self._batch, self._workers, self._costs)
            self._queue.extend(Batch(number, part) for part in parts)
            while job.missing:
                self._advance()
        finally:
            self._remove(number)
        return [_own(job.outcomes[arch]) for arch in job.archs]

    def submit(self, archs: Sequence[Architecture]) -> None:
        """Start to evaluate one batch, on one worker; returns at once. Any number may wait.

        Raises:
            UsageError: The pool is closed.
        """
        number = self._add(archs, streamed=True)
        if archs:
            self._queue.append(Batch(number, tuple(dict.fromkeys(archs))))
            self._hand_out()

    def collect(self) -> list[tuple[Architecture, Outcome]]:
        """Wait for the next submitted batch to finish and return all of it, in its order.

        Raises:
            UsageError: Nothing was submitted that is not collected yet, or as for `evaluate`.
            WorkersLost: All workers die while they start.
        """
        self._check_open()
        while not self._finished:
            if not any(job.streamed for job in self._jobs.values()):
                raise UsageError("nothing was submitted that is not collected yet; submit a batch first")
            self._advance()
        job = self._finished.popleft()
        return [(arch, _own(job.outcomes[arch])) for arch in job.archs]

    def _check_open(self) -> None:
        if not self._open:
            raise UsageError("this pool of workers is closed; make a new one")

    def _add(self, archs: Sequence[Architecture], *, streamed: bool) -> int:
        self._check_open()
        number, job = next(self._numbers), _Job(tuple(archs), streamed)
        if not self._jobs:
            self._began = time.monotonic()
        if archs:
            self._jobs[number] = job
            self._totals += Totals(architectures=len(archs))
        elif streamed:
            self._finished.append(job)
        return number

    def _remove(self, number: int) -> None:
        if self._jobs.pop(number, None) is not None and not self._jobs:
            self._totals += Totals(seconds=time.monotonic() - self._began)

    def _advance(self) -> None:
        """Keep everybody busy, and take what comes next."""
        self._hand_out()
        news = self._group.wait()
        if news is not None:
            self._take(*news)

    def _hand_out(self) -> None:
        for slot in self._group.idle():
            while self._queue and self._queue[0].job not in self._jobs:  # its call was given up
                self._queue.popleft()
            if self._queue:
                self._group.assign(slot, self._queue.popleft())

    def _take(self, batch: Batch, answer: Answer) -> None:
        job = self._jobs.get(batch.job)
        if job is None:
            return
        if answer.kind == "done":
            self._totals += replace(answer.totals, architectures=0, seconds=0.0)
            job.take(dict(zip(batch.archs, answer.outcomes, strict=True)))
        elif answer.kind in ("usage", "broken"):
            self._remove(batch.job)
            raise UsageError(answer.text) if answer.kind == "usage" else RuntimeError(f"in a worker:\n{answer.text}")
        else:
            again = retried(batch, answer)
            if isinstance(again, Failure):
                job.take({batch.archs[0]: again})
            else:
                self._queue.extendleft(reversed(again))
        if not job.missing and job.streamed:
            self._remove(batch.job)
            self._finished.append(job)


def _own(outcome: Outcome) -> Outcome:
    """A caller's own copy: identical architectures share an outcome, and metrics may be written to."""
    return outcome if isinstance(outcome, Failure) else dict(outcome)
