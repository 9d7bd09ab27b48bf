"""Who evaluates in a search: this process, or workers of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.cluster.lazy_pool import LazyPool
from nas.errors import UsageError
from nas.extras import RAY, require

if TYPE_CHECKING:
    from nas.cluster.pool import RayEvaluator
    from nas.objectives import Constraint, Objective
    from nas.study.progress import Counters


@dataclass(frozen=True, slots=True)
class WorkerPool:
    """Ray workers that evaluate.

    Args:
        count: How many.
        address: The Ray cluster, "auto" inside a job; None starts one here.
        cpus: CPUs, and threads, of each.
        gpus: Of each, may be a fraction; None: 1 where the search's device is CUDA, else 0.
        asynchronous: Keep every worker busy: trials then depend on who is finished first.
    """

    count: int
    address: str | None = None
    cpus: float = 1.0
    gpus: float | None = None
    asynchronous: bool = False

    @property
    def device(self) -> str:
        """Where each computes."""
        return "cuda" if self.gpus else "cpu"


def resolve_pool(
    workers: int | WorkerPool | None, *, device: str | None, chosen: str, goals: Sequence[Objective | Constraint],
    racing: bool,
) -> WorkerPool | None:  # fmt: skip
    """The workers of a search with their GPUs; None evaluates in this process.

    Args:
        workers: Workers, or how many.
        device: The device that was asked for.
        chosen: The device of this process.
        goals: What the search needs measured.
        racing: Whether candidates are raced.

    Raises:
        UsageError: They do not fit this machine, or contradict other settings.
        MissingPackage: Ray is not installed.
    """
    if workers is None:
        return None
    pool = WorkerPool(workers) if isinstance(workers, int) else workers
    if pool.count < 1:
        raise UsageError(f"workers must be at least 1, got {pool.count}")
    if racing:
        raise UsageError("--racing compares the candidates of one process; leave out --workers")
    cores = os.cpu_count() or 1
    if pool.address is None and "RAY_ADDRESS" not in os.environ and pool.count * pool.cpus > cores:
        raise UsageError(
            f"{pool.count} workers of {pool.cpus:g} CPU each do not fit this machine, which has {cores}; use --workers "
            f"{max(1, int(cores / pool.cpus))}, or smaller ones with --cpus-per-worker"
        )
    from nas.evaluation.latency import LATENCY

    if pool.asynchronous and any(goal.metric == LATENCY.name for goal in goals):
        raise UsageError(
            f"{LATENCY.name} is measured in this process between batches, which --asynchronous does not have; "
            "leave it out"
        )
    require(RAY, purpose="evaluation on workers")
    gpus = float(chosen.startswith("cuda")) if pool.gpus is None else pool.gpus
    if device is not None and device.startswith("cuda") != (gpus > 0):
        raise UsageError(f"--device {device} and --gpus-per-worker {gpus:g} contradict each other; leave out one")
    return replace(pool, gpus=gpus)


def memory_bytes(gib: float | None) -> int | None:
    """A budget of memory in bytes.

    Raises:
        UsageError: More than this machine has, or no number.
    """
    from nas.evaluation.population.memory_budget import GIB, total

    if gib is None:
        return None
    if not gib * GIB <= total():  # also what is not a number
        raise UsageError(f"--memory {gib:g}: this machine has {total() / GIB:.1f} GiB")
    return int(gib * GIB)


@contextmanager
def lazily_started(
    pool: WorkerPool, start: Callable[[], RayEvaluator], news: Callable[[str], None] | None
) -> Iterator[tuple[LazyPool, Counters]]:
    """An evaluator whose workers start when it is first asked, and where to read what they do; they end with the block.

    Args:
        pool: The workers.
        start: Starts them.
        news: Told when it does.

    Raises:
        ClusterError: No cluster answers.
        UsageError: It has no room for a worker.
    """
    from nas.cluster.connection import check_reachable
    from nas.study.progress import Counters

    if pool.address is not None:
        check_reachable(pool.address)
    with ExitStack() as running:

        def first() -> RayEvaluator:
            if news is not None:
                news(f"starting {pool.count} worker{'s' if pool.count > 1 else ''}")
            return running.enter_context(start())

        lazy = LazyPool(pool.count, first)
        yield lazy, Counters(lambda: lazy.totals, lambda: lazy.alive)
