"""`nas search`: from nothing, or from a trained supernet, to a Pareto front."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit, resolve_device
from nas.cli.refusals import check_alone, check_untrained
from nas.cli.train import Epochs, Preset, Resume, Rule, Space, TrainImages, Wish, task, trained
from nas.cli.workers import (
    Asynchronous,
    CpusPerWorker,
    Crew,
    GpusPerWorker,
    Memory,
    RayAddress,
    WorkersOption,
    crew_of,
    memory_bytes,
    opened,
)
from nas.errors import StudyError, UnknownName, UsageError
from nas.files import write_json

if TYPE_CHECKING:
    from nas.data import ImageData
    from nas.evaluation.population.racing import Racing
    from nas.objectives import Constraint, Objective
    from nas.searchers import Builder, Trial
    from nas.study import Result
    from nas.supernets import StoredSupernet
    from nas.task import Task

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
        typer.Option("--objective", help="A metric to improve: accuracy, min:latency_ms, gradsign, ...; repeat."),
    ] = ["accuracy", "min:macs"],  # noqa: B006  # typer reads the default, nothing changes it
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
    from nas import searchers
    from nas.cli import runs, zero_shot
    from nas.cli.sources import scored_task, table_task
    from nas.objectives import Constraint, Objective
    from nas.search_spaces import budgets

    began = time.monotonic()
    objectives = [Objective.parse(text) for text in objective]
    constraints = [Constraint.parse(text) for text in constraint]
    goals: list[Objective | Constraint] = [*objectives, *constraints]
    chosen = resolve_device(device)
    seen = partial(scored_task, space, data, preset, supernet, images=proxy_images, seed=seed or 0)
    if zero_shot.asked(goals, table):
        zero_shot.check_goals(goals, table)
        check_untrained(
            supernet=supernet, rule=rule, epochs=epochs, train_images=train_images, racing=racing or None,
            memory=memory,
        )  # fmt: skip
        searchers.get(searcher)
        if table is not None:
            zero_shot.check_table(table, workers)
        crew = crew_of(
            workers, ray, asynchronous=asynchronous, cpus=cpus_per_worker, gpus=gpus_per_worker, device=device,
            found=chosen, goals=goals, racing=False,
        )  # fmt: skip
        unseen = table is not None and assist is None and data is None and not zero_shot.asked(goals, None)
        shown = table_task(space) if unseen else seen()
        shown.space.feasible(budgets(constraints))
        directory = out or runs.default_out(f"zero-shot-{shown.space.name}", shown.spec)
        builder = zero_shot.assisted(searcher, assist, lambda: shown, device=chosen, seed=seed or 0)
        result, front = zero_shot.search_untrained(
            shown, builder, objectives, constraints, table=table, trials=trials, batch=batch, seed=seed or 0,
            directory=directory, storage=storage, resume=resume, device=chosen, crew=crew,
        )  # fmt: skip
        facts: dict[str, Any] = {
            "space": shown.space.name, "preset": shown.space.preset, "data": shown.spec, "searcher": searcher,
            "assist": assist, "proxy_images": len(shown.x), "table": None if table is None else str(table),
            "seed": seed or 0, "device": chosen if crew is None else crew.device,
        }  # fmt: skip
        zero_shot.report_untrained(
            directory, result, front, objectives, constraints, facts, began=began, as_json=as_json
        )
        return
    check_measured(goals)
    builder = searchers.get(searcher)
    crew = crew_of(
        workers, ray, asynchronous=asynchronous, cpus=cpus_per_worker, gpus=gpus_per_worker, device=device,
        found=chosen, goals=[*objectives, *constraints], racing=racing,
    )  # fmt: skip
    budget = memory_bytes(memory)
    training_s = 0.0
    wish, seed = Wish(rule, epochs, None, None, train_images, seed), seed or 0
    stored: StoredSupernet | None = None
    if supernet is None:
        images, members = task(space, data, preset, train_images)
        directory = out or runs.default_out(members.name, images.spec)
        folder = directory / runs.SUPERNET
    else:
        check_alone(space=space, data=data, preset=preset, train_images=train_images, rule=rule, epochs=epochs)
        run = runs.open_run(supernet)
        stored, images, members = run.stored, run.data(), run.stored.supernet.space
        directory, folder = out or supernet, run.supernet
    race = race_of(objectives, constraints, members.task) if racing else None
    members.feasible(budgets(constraints))  # before minutes of training
    runs.check_space(directory, members)
    if stored is None:
        stored = trained(directory, members, images, wish, device=chosen, resume=resume)
        training_s = time.monotonic() - began
    if assist is not None:
        builder = zero_shot.assisted(searcher, assist, seen, device=chosen, seed=seed)
    result, front = _searched(
        stored, images, builder, objectives, constraints, trials=trials, batch=batch, seed=seed,
        directory=directory, storage=storage, resume=resume, crew=crew, device=chosen, racing=race,
        budget_bytes=budget,
    )  # fmt: skip
    facts = {
        "space": members.name,
        "preset": members.preset,
        "data": images.spec,
        "searcher": searcher,
        "assist": assist,
        "seed": seed,
        "device": crew.device if crew is not None else chosen,
        "weights": stored.digest,
        "recipe": dict(stored.recipe),
        "supernet": os.path.relpath(folder.resolve(), directory.resolve()),
        "training_s": training_s,
        "totals": result.totals,
    }
    _report(directory, result, front, objectives, constraints, facts, wall_s=time.monotonic() - began, as_json=as_json)


def check_measured(goals: Sequence[Objective | Constraint]) -> None:
    """Refuse a goal on a metric that this search does not measure, before minutes of training.

    Raises:
        UnknownName: Names the nearest one that it does.
    """
    from nas.evaluation.latency import LATENCY
    from nas.evaluation.metrics import TASK_METRICS
    from nas.search_spaces import COSTS

    measured = [metric.name for metric in (*TASK_METRICS, LATENCY, *COSTS)]
    for goal in goals:
        if goal.metric not in measured:
            raise UnknownName("metric of a search", goal.metric, measured)


def race_of(objectives: Sequence[Objective], constraints: Sequence[Constraint], task: Task) -> Racing:
    """The race of --racing.

    Raises:
        UsageError: Examples cannot decide it, or a bound could make a loser the winner.
    """
    from nas.evaluation.population.racing import Racing
    from nas.search_spaces import COST_NAMES, COSTS

    for bound in constraints:
        if bound.metric not in COST_NAMES:
            costs = " and ".join(cost.name for cost in COSTS)
            raise UsageError(f"--racing may stop those who meet {bound}; use bounds on {costs}, or leave it out")
    race = Racing(tuple(objectives))
    race.check(task)
    return race


def _searched(
    stored: StoredSupernet, data: ImageData, builder: Builder, objectives: list[Objective],
    constraints: list[Constraint], *, trials: int, batch: int, seed: int, directory: Path, storage: str | None,
    resume: bool, crew: Crew | None, device: str, racing: Racing | None,
    budget_bytes: int | None,
) -> tuple[Result, list[Trial]]:  # fmt: skip
    """Search, then score the front on the test split, which the search did not see."""
    from nas.cli.progress import search_bar
    from nas.evaluation.population.evaluator import SupernetEvaluator
    from nas.study import Study

    space = stored.supernet.space
    goals: list[Objective | Constraint] = [*objectives, *constraints]
    where = crew.device if crew is not None else device
    with opened(stored, data, goals, crew, device, racing, budget_bytes) as (evaluator, counters):
        study = Study(
            space, builder(space, objectives, constraints, seed=seed), evaluator, objectives, constraints,
            seed=seed, directory=directory, storage=storage, resume=resume, batch=batch,
            provenance={"weights": stored.digest, "data": data.digest, "device": where},
            asynchronous=crew is not None and crew.asynchronous, together=racing is not None, counters=counters,
        )  # fmt: skip
        with study, search_bar("searching") as progress:
            result = study.run(trials, progress=progress)
            front = study.front()
    if not front:
        raise StudyError(_why_empty(result.trials, constraints))
    del study, evaluator, counters  # and with them the memory that evaluating took
    again = SupernetEvaluator(stored.supernet, data, split="test", device=device, budget_bytes=budget_bytes)
    tested = again.evaluate([trial.arch for trial in front])
    return result, [replace(t, metrics={**t.metrics, **more}) for t, more in zip(front, tested, strict=True)]


def _why_empty(trials: Sequence[Trial], constraints: Sequence[Constraint]) -> str:
    """Which bound nothing met, and how near the search came."""
    measured = [trial.metrics for trial in trials if trial.metrics]
    if not measured:
        return f"all {len(trials)} trials failed; the ledger has the error of each"
    for c in constraints:
        values = [metrics[c.metric] for metrics in measured]
        nearest = min(values) if c.sense == "<=" else max(values)
        if c.violation(nearest) > 0:
            return f"none of {len(measured)} architectures meets {c}; the nearest has {c.metric} {nearest:.6g}"
    return f"none of {len(measured)} architectures meets all of {', '.join(map(str, constraints))}; loosen one"


def _report(
    directory: Path, result: Result, front: list[Trial], objectives: list[Objective], constraints: list[Constraint],
    facts: dict[str, Any], *, wall_s: float, as_json: bool,
) -> None:  # fmt: skip
    """Write search.json and front.png, print the front."""
    from nas.cli import runs
    from nas.evaluation.metrics import DECLARED
    from nas.reports.document import search_document
    from nas.reports.front_picture import draw_front
    from nas.reports.front_table import front_table

    tested = {trial.number: trial for trial in front}
    trials = [tested.get(trial.number, trial) for trial in result.trials]
    document = search_document(
        trials, objectives, constraints, out=directory, wall_s=wall_s, new=result.new, exhausted=result.exhausted
    )
    document |= facts
    draw_front(trials, front, objectives, directory / runs.PICTURE, metrics=DECLARED)
    write_json(directory / runs.SEARCH, document)
    best = document["best"]
    stopped = f", {document['stopped']} stopped early" if document["stopped"] else ""
    spent = f"{len(trials)} trials, {result.new} of them new{stopped}, in {wall_s:.0f} s"
    spent += f" ({facts['training_s']:.0f} s training)" if facts["training_s"] else ""
    emit(
        document,
        as_json=as_json,
        human=[
            front_table(front, objectives, constraints, metrics=DECLARED, limit=SHOWN),
            f"best {best['digest']}: {best['metrics']['test_accuracy']:.2%} of test images right, which no search saw",
            f"{spent}; {directory / runs.PICTURE} shows the front",
            f"take one along: nas export {directory} --arch best",
        ],
    )
