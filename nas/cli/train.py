"""`nas train`: a supernet that 'nas search' then searches as often as you like."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit, say
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.cluster.training import Workers

Space = Annotated[str | None, typer.Option("--space", help="A space's name; 'nas spaces' lists them.")]
Preset = Annotated[str | None, typer.Option("--preset", help="A space's preset; default: by the size of the images.")]
TrainImages = Annotated[int | None, typer.Option("--train-images", min=1, help="Train on so many images only.")]
Rule = Annotated[str | None, typer.Option("--rule", help="bignas, sandwich, ofa or single_path; default: sandwich.")]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Passes over the training images; default: by their number.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=2, help="Images a training step; default: 128.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", help="Peak; default: the rule's.")]
ArchFile = Annotated[
    str | None, typer.Option("--arch", help="Train this network alone: a JSON FILE, largest or smallest.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]


def train(
    space: Space = None,
    data: Data = None,
    preset: Preset = None,
    arch: ArchFile = None,
    train_images: TrainImages = None,
    rule: Rule = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    optimiser: Annotated[
        str | None, typer.Option("--optimiser", help="sgd or adamw, with --arch; default: sgd.")
    ] = None,
    out: Out = None,
    resume: Resume = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Share every batch among so many Ray workers.")
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Every worker draws random sub-networks of its own.")
    ] = False,
    gpus_per_worker: Annotated[
        float | None, typer.Option("--gpus-per-worker", min=0, help="Default: 1 where the device is cuda, else 0.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Address of a Ray cluster; default: one is started here.")
    ] = None,
    seed: Seed = None,
    device: Device = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a supernet, which 'nas search --supernet DIR' searches as often as you like; with --arch, one network."""
    from nas.cli.progress import Bars
    from nas.pipelines import train as pipeline

    if arch is not None:
        _check_alone(rule=rule, workers=workers, diverse=diverse or None, gpus_per_worker=gpus_per_worker, ray=ray)
        _train_alone(
            space, arch, data, preset=preset, train_images=train_images, epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, optimiser=optimiser, out=out, resume=resume, seed=seed, device=device,
            as_json=as_json,
        )  # fmt: skip
        return
    if optimiser is not None:
        raise UsageError("--optimiser is about one network; say which with --arch")
    began = time.monotonic()
    pool = _workers(workers, diverse=diverse, gpus=gpus_per_worker, address=ray, device=device)
    with Bars(training=f"training: {rule or pipeline.DEFAULT_RULE}") as progress:
        run = pipeline.train(
            space, data, preset=preset, train_images=train_images, rule=rule, epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, seed=seed, workers=pool, out=out, resume=resume, device=device,
            progress=progress, news=say,
        )  # fmt: skip
    wall_s = time.monotonic() - began
    recipe = dict(run.stored.recipe)
    emit(
        {"out": str(run.directory), "weights": run.stored.digest, "recipe": recipe, "wall_s": wall_s},
        as_json=as_json,
        human=[f"trained in {wall_s:.0f} s; search it: nas search --supernet {run.directory}"],
    )


def _check_alone(
    *, rule: str | None, workers: int | None, diverse: bool | None, gpus_per_worker: float | None, ray: str | None
) -> None:
    """Refuse options of supernets beside --arch.

    Raises:
        UsageError: Names the first.
    """
    given = {
        "--rule": rule, "--workers": workers, "--diverse": diverse, "--gpus-per-worker": gpus_per_worker, "--ray": ray,
    }  # fmt: skip
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is about supernets and has no place beside --arch; leave it out")


def _train_alone(
    space: str | None, arch: str, data: str | None, *, preset: str | None, train_images: int | None,
    epochs: int | None, batch_size: int | None, learning_rate: float | None, optimiser: str | None, out: Path | None,
    resume: bool, seed: int | None, device: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Train one network and say what it is worth."""
    from nas.cli.progress import Bars
    from nas.evaluation.metrics import DECLARED
    from nas.objectives import metric_of
    from nas.pipelines import train_alone as pipeline

    began = time.monotonic()
    with Bars(training="training: alone") as progress:
        result = pipeline.train_alone(
            space, arch, data, preset=preset, train_images=train_images, epochs=epochs, batch_size=batch_size,
            optimiser=optimiser or "sgd", learning_rate=learning_rate, seed=seed or 0, out=out, resume=resume,
            device=device, progress=progress,
        )  # fmt: skip
    digest, metrics = result.arch.digest, result.metrics
    document = {
        "digest": digest, "arch": result.arch.to_json(), "metrics": metrics, "out": str(result.out),
        "wall_s": time.monotonic() - began,
    }  # fmt: skip
    human = [
        digest,
        *(f"  {name} {metric_of(name, DECLARED).text(value)}" for name, value in metrics.items()),
        f"written to {result.out}; open it with nas.load({str(result.out)!r})",
    ]
    emit(document, as_json=as_json, human=human)


def _workers(
    count: int | None, *, diverse: bool, gpus: float | None, address: str | None, device: str | None
) -> Workers | None:
    """The workers that were asked for; None trains in this process.

    Raises:
        UsageError: Options for workers without --workers, or against --device.
    """
    from nas.cluster.training import Workers
    from nas.pipelines.devices import resolve_device

    if count is None:
        given = {"--diverse": diverse, "--gpus-per-worker": gpus is not None, "--ray": address is not None}
        if any(given.values()):
            first = next(name for name, there in given.items() if there)
            raise UsageError(f"{first} says how workers train; say how many with --workers")
        return None
    if gpus is None:
        gpus = float(resolve_device(device).startswith("cuda"))
    if device is not None and device.startswith("cuda") != (gpus > 0):
        raise UsageError(f"--device {device} and --gpus-per-worker {gpus:g} contradict each other; leave out one")
    return Workers(count, diverse, gpus, address)
