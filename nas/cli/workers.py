"""The options of `nas search` that say who evaluates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.pipelines.workers import WorkerPool

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


def pool_of(
    count: int | None, address: str | None, *, asynchronous: bool, cpus: float | None, gpus: float | None
) -> WorkerPool | None:
    """The workers that the options ask for; None evaluates in this process.

    Args:
        count: --workers.
        address: --ray.
        asynchronous: --asynchronous.
        cpus: --cpus-per-worker.
        gpus: --gpus-per-worker.

    Raises:
        UsageError: Options for workers without --workers.
    """
    from nas.pipelines.workers import WorkerPool

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
    return WorkerPool(count, address, 1.0 if cpus is None else cpus, gpus, asynchronous)
