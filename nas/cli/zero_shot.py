"""`nas search` without training: proxies of untrained networks, or a benchmark's table, in the place of a supernet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.common import emit
from nas.errors import StudyError, UnknownName, UsageError
from nas.files import file_digest, write_json

if TYPE_CHECKING:
    from nas.cli.sources import ScoredTask
    from nas.cli.workers import Crew
    from nas.evaluation import Evaluator, Metrics
    from nas.objectives import Constraint, Objective
    from nas.search_spaces import Architecture, SearchSpace
    from nas.searchers import Builder, Trial
    from nas.study import Result
    from nas.study.progress import Counters

SHOWN = 16  # most members of the front in the printed table
BROOD = 12  # children of one parent, of which the best of 10 different ones is evaluated


def asked(goals: Sequence[Objective | Constraint], table: Path | None) -> bool:
    """Whether these goals need no supernet."""
    from nas.proxies import SCORES

    return table is not None or any(goal.metric in SCORES for goal in goals)


def check_goals(goals: Sequence[Objective | Constraint], table: Path | None) -> None:
    """Refuse a goal that nothing here measures.

    Raises:
        UnknownName: Names the nearest metric that can be had.
        UsageError: Accuracy beside proxies, without a table.
    """
    from nas.evaluation.latency import LATENCY
    from nas.evaluation.metrics import TASK_METRICS
    from nas.proxies import SCORES
    from nas.search_spaces import COST_NAMES
    from nas.task import ACCURACY

    known = (*SCORES, *COST_NAMES, *((ACCURACY.name,) if table is not None else ()))
    trained = [metric.name for metric in (*TASK_METRICS, LATENCY)]
    for goal in goals:
        if goal.metric in trained and goal.metric not in known:
            if table is not None:
                raise UsageError(f"a table has accuracies and no {goal.metric}; leave that objective or bound out")
            raise UsageError(
                f"a search by proxies trains nothing and has no {goal.metric}; "
                "give --table with a benchmark's accuracies, or use --assist to put a proxy beside a supernet"
            )
        if goal.metric not in known:
            raise UnknownName("metric of a search without training", goal.metric, known)


def check_table(table: Path, workers: int | None) -> None:
    """Refuse a table that is not there, before anything is read, and workers, who would have nothing to do.

    Raises:
        UsageError: --workers beside it.
        DataError: There is no such file.
    """
    from nas.evaluation.tabular.evaluator import located

    if workers is not None:
        raise UsageError("--workers has no place where a table answers; leave it out")
    located(table)


def assisted(searcher: str, proxy: str | None, task: Callable[[], ScoredTask], *, device: str, seed: int) -> Builder:
    """The searcher, with a proxy beside it where one is named.

    Args:
        searcher: Its name.
        proxy: What --assist says.
        task: Gives the batch that is scored.
        device: Where to score.
        seed: Of the weights that are scored.

    Raises:
        UnknownName: No such searcher or proxy.
        UsageError: A proxy that ranks sets.
    """
    from nas import searchers
    from nas.searchers import SEARCHERS, Assisted, Evolution, Searcher

    builder = searchers.get(searcher)
    if proxy is None:
        return builder
    from nas.evaluation.proxy_evaluator import ProxyEvaluator

    shown = task()
    evaluator = ProxyEvaluator(shown.space, [proxy], shown.x, shown.y, device=device, seed=seed)

    def score(archs: Sequence[Architecture]) -> list[float]:
        return [evaluator.raw(arch)[proxy] for arch in archs]

    inner, alone = SEARCHERS[searcher], 0
    if isinstance(inner, Evolution):
        inner, alone = replace(inner, brood=BROOD), inner.population
    name = f"{proxy} of {len(shown.x)} from {shown.spec}, seed {seed}"
    return partial(Searcher, strategy=Assisted(inner, score, alone=alone, name=name))


def search_untrained(
    task: ScoredTask, builder: Builder, objectives: Sequence[Objective], constraints: Sequence[Constraint], *,
    table: Path | None, trials: int, batch: int, seed: int, directory: Path, storage: str | None, resume: bool,
    device: str, crew: Crew | None = None,
) -> tuple[Result, list[Trial]]:  # fmt: skip
    """Search, and where a table has them add test accuracies to the front, which the search did not see."""
    from nas.cli.progress import search_bar
    from nas.evaluation.tabular.evaluator import located
    from nas.objectives import TEST_PREFIX
    from nas.study import Study

    goals: list[Objective | Constraint] = [*objectives, *constraints]
    where = device if crew is None else crew.device
    with _evaluator(task, goals, table, device=device, seed=seed, crew=crew) as (evaluator, rows, counters):
        seen = f"{len(task.x)} of {task.spec} (--proxy-images)" if len(task.x) else task.spec
        if table is not None:
            seen += f", table {file_digest(located(table))}"
        study = Study(
            task.space, builder(task.space, objectives, constraints, seed=seed), evaluator, objectives, constraints,
            seed=seed, directory=directory, storage=storage, resume=resume, batch=batch,
            provenance={"weights": f"untrained, seed {seed}", "data": seen, "device": where},
            asynchronous=crew is not None and crew.asynchronous, counters=counters,
        )  # fmt: skip
        with study, search_bar("searching") as progress:
            result = study.run(trials, progress=progress)
            front = study.front()
    if not front:
        failed = sum(not trial.metrics for trial in result.trials)
        raise StudyError(f"none of {len(result.trials)} trials meets the goals, {failed} failed; the ledger says why")
    tested = [{k: v for k, v in rows.get(t.arch, {}).items() if k.startswith(TEST_PREFIX)} for t in front]
    return result, [replace(t, metrics={**t.metrics, **more}) for t, more in zip(front, tested, strict=True)]


def _check_whole(space: SearchSpace, rows: int, table: Path) -> None:
    """Refuse a search where most proposals would have no answer, and costs that are not those of the table's networks.

    Raises:
        UsageError: Says which.
    """
    from nas.evaluation.tabular.registry import is_benchmark_space

    if not is_benchmark_space(space):
        raise UsageError(
            f"{table.name} has accuracies of {space.name}'s own networks, and preset {space.preset!r} has other costs; "
            "leave --preset out"
        )
    if 2 * rows < space.size:
        raise UsageError(
            f"{table.name} holds {rows:,} of {space.size:,} members, and a search would ask for the others; "
            "'nas proxies --table' compares scores with it"
        )


@contextmanager
def _evaluator(
    task: ScoredTask, goals: Sequence[Objective | Constraint], table: Path | None, *, device: str, seed: int,
    crew: Crew | None,
) -> Iterator[tuple[Evaluator, dict[Architecture, Metrics], Counters | None]]:  # fmt: skip
    """What answers, all that a table has, and what workers do; they end with the block."""
    from nas.cli.workers import started
    from nas.evaluation.combined import Combined
    from nas.evaluation.proxy_evaluator import ProxyEvaluator
    from nas.evaluation.tabular.evaluator import TableEvaluator
    from nas.evaluation.tabular.registry import read_table
    from nas.objectives import TEST_PREFIX
    from nas.proxies import SCORES
    from nas.study.progress import Counters

    names = list(dict.fromkeys(goal.metric for goal in goals if goal.metric in SCORES))
    if crew is not None:
        from nas.cluster.proxy_pool import proxy_pool

        start = partial(
            proxy_pool, task.space, names, task.x, task.y, workers=crew.count, address=crew.address,
            device=crew.device, cpus=crew.cpus, gpus=crew.gpus, seed=seed,
        )  # fmt: skip
        with started(crew, start) as (pool, counted):
            yield pool, {}, counted
        return
    parts: list[Evaluator] = []
    rows: dict[Architecture, Metrics] = {}
    if table is not None:
        rows = {arch: dict(metrics) for arch, metrics in read_table(task.space, table).items()}
        _check_whole(task.space, len(rows), table)
        seen = {arch: {k: v for k, v in m.items() if not k.startswith(TEST_PREFIX)} for arch, m in rows.items()}
        parts.append(TableEvaluator(seen))
    counters: Counters | None = None
    if names:
        scored = ProxyEvaluator(task.space, names, task.x, task.y, device=device, seed=seed)
        parts, counters = [*parts, scored], Counters(lambda: scored.totals, lambda: 1)
    yield (parts[0] if len(parts) == 1 else Combined(parts)), rows, counters


def report_untrained(
    directory: Path, result: Result, front: list[Trial], objectives: Sequence[Objective],
    constraints: Sequence[Constraint], facts: dict[str, Any], *, began: float, as_json: bool,
) -> None:  # fmt: skip
    """Write search.json and front.png, print the front."""
    from nas.cli import runs
    from nas.evaluation.metrics import DECLARED
    from nas.reports.document import search_document
    from nas.reports.front_picture import draw_front
    from nas.reports.front_table import front_table
    from nas.task import ACCURACY

    tested = {trial.number: trial for trial in front}
    trials = [tested.get(trial.number, trial) for trial in result.trials]
    wall_s = time.monotonic() - began
    document = search_document(
        trials, objectives, constraints, out=directory, wall_s=wall_s, new=result.new, exhausted=result.exhausted
    )
    document |= facts | {"totals": result.totals}
    draw_front(trials, front, objectives, directory / runs.PICTURE, metrics=DECLARED)
    write_json(directory / runs.SEARCH, document)
    best = document["best"]
    said = "never trained"
    for metric in (ACCURACY, ACCURACY.on_test()):
        if metric.name in best["metrics"]:
            said = f"{metric.label} {metric.text(best['metrics'][metric.name])} {metric.unit}, says the table"
    lines: list[Any] = [
        front_table(front, objectives, constraints, metrics=DECLARED, limit=SHOWN),
        f"best {best['digest']}: {said}",
        f"{len(trials)} trials, {result.new} of them new, in {wall_s:.0f} s",
        f"{directory / runs.PICTURE} shows the front",
    ]
    if facts["table"] is None:
        lines.append("scores are no accuracies: 'nas proxies' says how far to trust them")
    emit(document, as_json=as_json, human=lines)
