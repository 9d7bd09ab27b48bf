"""`nas search`: from nothing, or from a trained supernet, to a Pareto front."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit, say
from nas.cli.train import Epochs, Preset, Resume, Rule, Space, TrainImages
from nas.cli.workers import (
    Asynchronous,
    CpusPerWorker,
    GpusPerWorker,
    Memory,
    RayAddress,
    WorkersOption,
    pool_of,
)

if TYPE_CHECKING:
    from nas.pipelines.search import SearchResult

SHOWN = 16  # most members of the front in the printed table


def search(
    space: Space = None,
    data: Data = None,
    preset: Preset = None,
    train_images: TrainImages = None,
    supernet: Annotated[Path | None, typer.Option("--supernet", help="Search the supernet of this folder.")] = None,
    searcher: Annotated[
        str, typer.Option("--searcher", help="nsga2, evolution, random, local, coarse_to_fine, tpe, gp or nsga3.")
    ] = "nsga2",
    objective: Annotated[
        list[str],
        typer.Option(
            "--objective",
            help="A metric to improve: accuracy, min:latency_ms, gradsign; repeat. Default: accuracy, min:macs.",
        ),
    ] = [],  # noqa: B006  # typer reads the default, nothing changes it
    constraint: Annotated[
        list[str], typer.Option("--constraint", help="A bound, such as 'macs<=3e6' or 'latency_ms<=5'; repeat.")
    ] = [],  # noqa: B006
    trials: Annotated[int, typer.Option("--trials", min=1, help="Architectures to evaluate.")] = 500,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Architectures the searcher proposes at a time.")] = 32,
    table: Annotated[
        Path | None, typer.Option("--table", help="A benchmark's table answers; nothing is trained.")
    ] = None,
    assist: Annotated[
        str | None, typer.Option("--assist", help="Evaluate only the best of 10 proposals by this proxy.")
    ] = None,
    proxy_images: Annotated[
        int, typer.Option("--proxy-images", min=2, help="Images, or windows of a text, that proxies see.")
    ] = 64,
    rule: Rule = None,
    epochs: Epochs = None,
    out: Out = None,
    resume: Resume = False,
    seed: Seed = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="An Optuna storage URL for the ledger; default: a file in --out.")
    ] = None,
    racing: Annotated[
        bool, typer.Option("--racing", help="Stop candidates that cannot win in their batch; in one process.")
    ] = False,
    workers: WorkersOption = None,
    ray: RayAddress = None,
    asynchronous: Asynchronous = False,
    cpus_per_worker: CpusPerWorker = None,
    gpus_per_worker: GpusPerWorker = None,
    memory: Memory = None,
    device: Device = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a supernet if there is none, search it, test the front, draw it."""
    from nas.cli.progress import Bars
    from nas.pipelines import search as pipeline
    from nas.pipelines.train import DEFAULT_RULE

    pool = pool_of(workers, ray, asynchronous=asynchronous, cpus=cpus_per_worker, gpus=gpus_per_worker)
    # Ray prints what happens to its machines, and standard output may be for one JSON document alone.
    with redirect_stdout(sys.stderr), Bars(training=f"training: {rule or DEFAULT_RULE}") as progress:
        result = pipeline.search(
            space, data, supernet=supernet, table=table, preset=preset, train_images=train_images, rule=rule,
            epochs=epochs, searcher=searcher, assist=assist, proxy_images=proxy_images, objectives=objective or None,
            constraints=constraint, trials=trials, batch=batch, seed=seed, workers=pool, racing=racing, memory=memory,
            device=device, out=out, resume=resume, storage=storage, progress=progress, news=say,
        )  # fmt: skip
    trained = "weights" in result.document
    emit(result.document, as_json=as_json, human=_trained(result) if trained else _untrained(result))


def _trained(result: SearchResult) -> list[Any]:
    """What people read about the search of a supernet."""
    document = result.document
    stopped = f", {document['stopped']} stopped early" if document["stopped"] else ""
    spent = f"{document['trials']} trials, {document['new']} of them new{stopped}, in {document['wall_s']:.0f} s"
    spent += f" ({document['training_s']:.0f} s training)" if document["training_s"] else ""
    accuracy = result.best.metrics["test_accuracy"]
    return [
        _table(result),
        f"best {result.best.arch.digest}: {accuracy:.2%} of test images right, which no search saw",
        f"{spent}; {result.picture} shows the front",
        f"take one along: nas export {result.out} --arch best",
    ]


def _untrained(result: SearchResult) -> list[Any]:
    """What people read about a search by proxies or by a table."""
    from nas.task import ACCURACY

    document, metrics = result.document, result.best.metrics
    said = "never trained"
    for metric in (ACCURACY, ACCURACY.on_test()):
        if metric.name in metrics:
            said = f"{metric.label} {metric.text(metrics[metric.name])} {metric.unit}, says the table"
    lines: list[Any] = [
        _table(result),
        f"best {result.best.arch.digest}: {said}",
        f"{document['trials']} trials, {document['new']} of them new, in {document['wall_s']:.0f} s",
        f"{result.picture} shows the front",
    ]
    if document["table"] is None:
        lines.append("scores are no accuracies: 'nas proxies' says how far to trust them")
    return lines


def _table(result: SearchResult) -> Any:
    from nas.reports.front_table import front_table

    goals = result.goals
    return front_table(result.front, goals.objectives, goals.constraints, metrics=goals.metrics, limit=SHOWN)
