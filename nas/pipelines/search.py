"""The whole job, `nas.search`: from a space and data, a supernet, proxies or a table to a Pareto front."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import StudyError
from nas.files import write_json
from nas.pipelines.assist import assisted, proxy_name, searcher_builder, searcher_name
from nas.pipelines.devices import resolve_device
from nas.pipelines.goals import Goals
from nas.pipelines.prepare import Prepared, Wanted, prepare
from nas.pipelines.runs import PICTURE, SEARCH, Run

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.evaluation import Evaluator
    from nas.objectives import Constraint, Metric, Objective
    from nas.pipelines.sources import Rows
    from nas.pipelines.workers import WorkerPool
    from nas.proxies.proxy import ProxyLike
    from nas.search_spaces import SearchSpace
    from nas.searchers import Builder, Strategy, Trial
    from nas.study import Progress as SearchProgress
    from nas.study import Result
    from nas.supernets import StoredSupernet, Supernet
    from nas.training import Progress as TrainingProgress
    from nas.training import TrainingRule


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Args:
        trials: All finished trials, oldest first; failed ones have no metrics.
        front: The Pareto front, with the test split's metrics, which no search saw.
        best: The first objective's best member of it.
        knee: The member farthest from the chord of the front.
        out: The run's folder, which the other calls and commands open.
        document: What `nas search --json` prints.
        goals: What was wanted, and what its metrics are called.
    """

    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    best: Trial
    knee: Trial
    out: Path
    document: dict[str, Any]
    goals: Goals

    @property
    def picture(self) -> Path:
        """Where the front is drawn."""
        return self.out / PICTURE


def search(
    space: str | SearchSpace | None = None,
    data: str | Dataset | None = None,
    *,
    supernet: Run | Path | str | Supernet | StoredSupernet | None = None,
    evaluator: Evaluator | None = None,
    table: Path | str | Rows | None = None,
    proxies: Sequence[ProxyLike] = (),
    preset: str | None = None,
    train_images: int | None = None,
    rule: str | TrainingRule | None = None,
    epochs: int | None = None,
    searcher: str | Strategy | Builder = "nsga2",
    assist: ProxyLike | None = None,
    proxy_images: int = 64,
    objectives: Sequence[str | Objective] | None = None,
    constraints: Sequence[str | Constraint] = (),
    trials: int = 500,
    batch: int = 32,
    seed: int | None = None,
    workers: int | WorkerPool | None = None,
    racing: bool = False,
    memory: float | None = None,
    device: str | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    storage: str | None = None,
    progress: Callable[[TrainingProgress | SearchProgress], None] | None = None,
    news: Callable[[str], None] | None = None,
) -> SearchResult:
    """Train a supernet if there is none, search it, test the front, draw it, and keep everything in a folder.

        result = nas.search("mobilenet", "digits", constraints=["macs<=3e6"])
        print(result.best.metrics, result.out)

    With a proxy among the objectives, a table or an evaluator nothing is trained.

    Args:
        space: A name, see `nas.search_spaces.FAMILIES`, or a space.
        data: What `nas.data.load` takes, such as "digits", or a data set.
        supernet: Search this one, which brings space and data: a run or its folder. A supernet in memory needs `data`.
        evaluator: Search by this one's metrics.
        table: Search by a benchmark's table: a file, or metrics by architecture.
        proxies: Proxies of your own, which objectives then name.
        preset: Of the space; None takes its default for these data.
        train_images: Train on so many images only.
        rule: A training rule or its name; None: "sandwich".
        epochs: Passes over the train split; None: by its size.
        searcher: A name, see `nas.searchers.SEARCHERS`; a strategy; or what makes a searcher of its goals.
        assist: Evaluate only the best of ten proposals by this proxy.
        proxy_images: Examples that proxies see.
        objectives: Texts such as "accuracy" and "min:macs", or values; None: the task's own.
        constraints: Texts such as "macs<=3e6", or values.
        trials: Architectures that the ledger holds in the end.
        batch: How many the searcher proposes at a time.
        seed: Same seed, same trials; None: 0.
        workers: Ray workers that evaluate, or how many; None evaluates in this process.
        racing: Stop candidates that cannot win in their batch.
        memory: GiB that evaluating may take, in each worker; None: 1 to 4, on a GPU 8.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        out: The run's folder; None: results/<space>-<data>, or the supernet's run.
        resume: Go on where an interrupted training or search stopped.
        storage: An Optuna storage URL for the ledger; None: a file in the folder.
        progress: Called after every training step and every batch of the search.
        news: Called with a line where something else happens, such as that workers start.

    Raises:
        UsageError: Something is missing, contradicts something else or does not fit.
        UnknownName: No such space, preset, data set, rule, searcher, proxy or metric.
        InfeasibleBudget: No architecture meets a budget on params or macs; names the smallest reachable value.
        DataError: The data or the table are missing or damaged.
        CheckpointError: A supernet is missing or damaged, or its training is to be resumed.
        StudyError: The folder holds another search, or nothing meets the constraints.
    """
    began, chosen = time.monotonic(), resolve_device(device)
    own = _own_metrics(proxies)
    goals = Goals.parse(objectives, constraints, own)
    builder = searcher_builder(searcher)
    assistant = None if assist is None else proxy_name(assist)
    wanted = Wanted(
        space, data, preset, supernet, evaluator, table, tuple(proxies), train_images, rule, epochs, proxy_images, seed,
        workers, racing, memory, device, None if out is None else Path(out), resume,
    )  # fmt: skip
    ready = prepare(wanted, goals, chosen=chosen, assisted=assist is not None, progress=progress, news=news)
    if assist is not None:
        builder = assisted(searcher, assist, ready.inputs, device=chosen, seed=seed or 0)
    result, front = _searched(
        ready, builder, trials=trials, batch=batch, seed=seed or 0, storage=storage, resume=resume, progress=progress
    )
    facts = {
        "space": ready.source.space.name, "preset": ready.source.space.preset, "data": ready.source.spec,
        "searcher": searcher_name(searcher), "assist": assistant, "seed": seed or 0, "device": ready.source.where,
        **ready.source.facts, "totals": result.totals,
    }  # fmt: skip
    return _kept(ready, result, front, facts, wall_s=time.monotonic() - began)


def _own_metrics(proxies: Sequence[ProxyLike]) -> Mapping[str, Metric]:
    """The metrics of the caller's own proxies, by name."""
    if not proxies:
        return {}
    from nas.proxies import resolve

    return {proxy.name: proxy.metric for proxy in resolve(proxies)}


def _searched(
    ready: Prepared, builder: Builder, *, trials: int, batch: int, seed: int, storage: str | None, resume: bool,
    progress: Callable[[SearchProgress], None] | None,
) -> tuple[Result, list[Trial]]:  # fmt: skip
    """Search, then add to the front what the search did not see."""
    result, front = _studied(
        ready, builder, trials=trials, batch=batch, seed=seed, storage=storage, resume=resume, progress=progress
    )  # its evaluator is gone, and with it the memory that evaluating took
    tested = ready.source.tested([trial.arch for trial in front])
    return result, [replace(t, metrics={**t.metrics, **more}) for t, more in zip(front, tested, strict=True)]


def _studied(
    ready: Prepared, builder: Builder, *, trials: int, batch: int, seed: int, storage: str | None, resume: bool,
    progress: Callable[[SearchProgress], None] | None,
) -> tuple[Result, list[Trial]]:  # fmt: skip
    from nas.study import Study

    source, goals = ready.source, ready.goals
    with source.opened(goals) as (evaluator, counters):
        study = Study(
            source.space, builder(source.space, goals.objectives, goals.constraints, seed=seed), evaluator,
            goals.objectives, goals.constraints, seed=seed, directory=ready.directory, storage=storage, resume=resume,
            batch=batch, provenance={**source.provenance, "device": source.where},
            asynchronous=source.pool is not None and source.pool.asynchronous, together=ready.racing,
            counters=counters,
        )  # fmt: skip
        with study:
            result = study.run(trials, progress=progress)
            front = study.front()
    if not front:
        raise StudyError(_why_empty(result.trials, goals.constraints))
    return result, front


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


def _kept(
    ready: Prepared, result: Result, front: Sequence[Trial], facts: Mapping[str, Any], *, wall_s: float
) -> SearchResult:
    """Write search.json, then the picture."""
    from nas.reports import selection
    from nas.reports.document import search_document
    from nas.reports.front_picture import draw_front

    goals, directory = ready.goals, ready.directory
    tested = {trial.number: trial for trial in front}
    trials = tuple(tested.get(trial.number, trial) for trial in result.trials)
    document = search_document(
        trials, goals.objectives, goals.constraints, out=directory, wall_s=wall_s, new=result.new,
        exhausted=result.exhausted,
    )  # fmt: skip
    document |= facts
    write_json(directory / SEARCH, document)
    draw_front(trials, front, goals.objectives, directory / PICTURE, metrics=goals.metrics)
    best = selection.best(trials, goals.objectives, goals.constraints)
    knee = selection.knee(front, goals.objectives)
    assert best is not None
    assert knee is not None
    return SearchResult(trials, tuple(front), best, knee, directory, document, goals)
