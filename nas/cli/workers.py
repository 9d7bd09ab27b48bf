"""Who evaluates in `nas search`: this process, or workers of a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.common import say
from nas.cluster.lazy_pool import LaterPool
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.cluster.pool import RayEvaluator
    from nas.data import ImageData
    from nas.evaluation import Evaluator
    from nas.evaluation.population.racing import Racing
    from nas.objectives import Constraint, Objective
    from nas.study.progress import Counters
    from nas.supernets import StoredSupernet

WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Evaluate on so many Ray workers; same seed, same trials.")
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", help="Address of a Ray cluster, 'auto' inside a job; default: one is started here."),
]
Asynchronous = Annotated[
    bool,
    typer.Option("--asynchronous", help="Keep every worker busy: trials then depend on who is finished first."),
]
CpusPerWorker = Annotated[
    float | None, typer.Option("--cpus-per-worker", min=0, help="CPUs, and threads, of each worker; default: 1.")
]
GpusPerWorker = Annotated[
    float | None,
    typer.Option("--gpus-per-worker", min=0, help="May be a fraction; default: 1 where the device is cuda, else 0."),
]
Memory = Annotated[
    float | None,
    typer.Option("--memory", min=0, help="GiB that evaluating may take, in each worker; default: 1 to 4, on a GPU 8."),
]


def memory_bytes(gib: float | None) -> int | None:
    """What --memory asks for.

    Raises:
        UsageError: More than this machine has, or no number.
    """
    from nas.evaluation.population.memory_budget import GIB, total

    if gib is None:
        return None
    if not gib * GIB <= total():  # also what is not a number
        raise UsageError(f"--memory {gib:g}: this machine has {total() / GIB:.1f} GiB")
    return int(gib * GIB)


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers that evaluate.

    Args:
        count: How many.
        address: The Ray cluster; None starts one here.
        cpus, gpus: Of each.
        asynchronous: Whether results are told as they come.
    """

    count: int
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    asynchronous: bool = False

    @property
    def device(self) -> str:
        """Where each computes."""
        return "cuda" if self.gpus > 0 else "cpu"


def crew_of(
    count: int | None, address: str | None, *, asynchronous: bool, cpus: float | None, gpus: float | None,
    device: str | None, found: str, goals: Sequence[Objective | Constraint], racing: bool,
) -> Crew | None:  # fmt: skip
    """The workers that the options ask for; None evaluates in this process.

    Args:
        count: --workers.
        address: --ray.
        asynchronous: --asynchronous.
        cpus: --cpus-per-worker.
        gpus: --gpus-per-worker.
        device: --device.
        found: The device of this machine.
        goals: What the search needs measured.
        racing: --racing.

    Raises:
        UsageError: Options for workers without --workers, or that contradict others.
    """
    if count is None:
        given = {
            "--ray": address is not None,
            "--asynchronous": asynchronous,
            "--cpus-per-worker": cpus is not None,
            "--gpus-per-worker": gpus is not None,
        }
        for name, there in given.items():
            if there:
                raise UsageError(f"{name} is about workers; say how many with --workers")
        return None
    if racing:
        raise UsageError("--racing compares the candidates of one process; leave out --workers")
    cores, each = os.cpu_count() or 1, 1.0 if cpus is None else cpus
    if address is None and "RAY_ADDRESS" not in os.environ and count * each > cores:
        raise UsageError(
            f"{count} workers of {each:g} CPU each do not fit this machine, which has {cores}; use --workers "
            f"{max(1, int(cores / each))}, or smaller ones with --cpus-per-worker"
        )
    from nas.evaluation.latency import LATENCY

    if asynchronous and any(goal.metric == LATENCY.name for goal in goals):
        raise UsageError(
            f"{LATENCY.name} is measured in this process between batches, which --asynchronous does not have; "
            "leave it out"
        )
    if gpus is None:
        gpus = float(found.startswith("cuda"))
    if device is not None and device.startswith("cuda") != (gpus > 0):
        raise UsageError(f"--device {device} and --gpus-per-worker {gpus:g} contradict each other; leave out one")
    return Crew(count, address, each, gpus, asynchronous)


@contextmanager
def opened(
    stored: StoredSupernet,
    data: ImageData,
    goals: Sequence[Objective | Constraint],
    crew: Crew | None,
    device: str,
    racing: Racing | None = None,
    budget_bytes: int | None = None,
) -> Iterator[tuple[Evaluator, Counters]]:
    """An evaluator for these goals, and where to read what it does; workers end with the block.

    Args:
        stored: The supernet.
        data: The images.
        goals: What has to be measured.
        crew: The workers; None evaluates in this process.
        device: Of this process.
        racing: Who may be stopped early; in this process alone.
        budget_bytes: Of each evaluator, see `SupernetEvaluator`.

    Raises:
        ClusterError: No cluster answers.
        UsageError: It has no room for a worker.
    """
    from nas.evaluation.population.evaluator import SupernetEvaluator
    from nas.study.progress import Counters

    if crew is None:
        here = SupernetEvaluator(stored.supernet, data, device=device, racing=racing, budget_bytes=budget_bytes)
        yield _with_latency(here, stored, goals, device), Counters(lambda: here.totals, lambda: 1)
        return
    from nas.cluster.supernet_pool import supernet_pool

    def start() -> RayEvaluator:
        return supernet_pool(
            stored.supernet, data, workers=crew.count, address=crew.address, device=crew.device, cpus=crew.cpus,
            gpus=crew.gpus, budget_bytes=budget_bytes,
        )  # fmt: skip

    with started(crew, start) as (pool, counters):
        yield _with_latency(pool, stored, goals, device), counters


@contextmanager
def started(crew: Crew, start: Callable[[], RayEvaluator]) -> Iterator[tuple[LaterPool, Counters]]:
    """A pool that starts when it is first asked, and where to read what it does; it ends with the block.

    Args:
        crew: The workers.
        start: Makes the pool.

    Raises:
        ClusterError: No cluster answers.
        UsageError: It has no room for a worker.
    """
    from nas.cluster.connection import knock
    from nas.study.progress import Counters

    if crew.address is not None:
        knock(crew.address)
    # Ray prints what happens to its machines, and standard output may be for one JSON document alone.
    with redirect_stdout(sys.stderr), ExitStack() as running:

        def first() -> RayEvaluator:
            say(f"starting {crew.count} worker{'s' if crew.count > 1 else ''}")
            return running.enter_context(start())

        pool = LaterPool(crew.count, first)
        yield pool, Counters(lambda: pool.totals, lambda: pool.alive)


def _with_latency(
    accuracy: Evaluator, stored: StoredSupernet, goals: Sequence[Objective | Constraint], device: str
) -> Evaluator:
    from nas.evaluation.combined import Combined
    from nas.evaluation.latency import LATENCY, LatencyEvaluator

    if not any(goal.metric == LATENCY.name for goal in goals):
        return accuracy
    return Combined([accuracy, LatencyEvaluator(stored.supernet, device=device)])
