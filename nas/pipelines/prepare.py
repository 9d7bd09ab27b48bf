"""From what a caller gives to `nas.search` to what is searched, by which metrics, and where it is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.pipelines.checks import check_alone, check_measured, check_scored, check_untrained, racing_for
from nas.pipelines.goals import Goals
from nas.pipelines.inputs import ScoringInputs, scoring_inputs, table_inputs
from nas.pipelines.problem import load_problem
from nas.pipelines.runs import SUPERNET, SUPERNET_DOCUMENT, Run, as_run, check_space, default_out
from nas.pipelines.sources import OwnSource, Rows, ScoreSource, Source, SupernetSource, read_rows
from nas.pipelines.train import Recipe, obtain_supernet
from nas.pipelines.workers import WorkerPool, memory_bytes, resolve_pool

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.evaluation import Evaluator
    from nas.proxies.proxy import ProxyLike
    from nas.search_spaces import SearchSpace
    from nas.supernets import StoredSupernet, Supernet
    from nas.training import Progress, TrainingRule

News = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller of `nas.search` gave; see there."""

    space: str | SearchSpace | None
    data: str | Dataset | None
    preset: str | None
    supernet: Run | Path | str | Supernet | StoredSupernet | None
    evaluator: Evaluator | None
    table: Path | str | Rows | None
    proxies: tuple[ProxyLike, ...]
    train_images: int | None
    rule: str | TrainingRule | None
    epochs: int | None
    proxy_images: int
    seed: int | None
    workers: int | WorkerPool | None
    racing: bool
    memory: float | None
    device: str | None
    out: Path | None
    resume: bool

    def training(self) -> dict[str, object]:
        """Settings of a training and of what it leaves; None where nobody said."""
        return {
            "supernet": self.supernet, "rule": self.rule, "epochs": self.epochs, "train_images": self.train_images,
            "racing": self.racing or None, "memory": self.memory,
        }  # fmt: skip

    def in_memory(self) -> Supernet | StoredSupernet | None:
        """The supernet, where it is no run's."""
        return None if isinstance(self.supernet, Run | Path | str) else self.supernet


@dataclass(frozen=True, slots=True)
class Prepared:
    """A search that can begin.

    Args:
        source: Where metrics come from.
        goals: What is wanted.
        directory: The run's folder.
        racing: Whether metrics depend on who is evaluated together.
        inputs: Gives what proxies look at.
    """

    source: Source
    goals: Goals
    directory: Path
    racing: bool
    inputs: Callable[[], ScoringInputs]


def prepare(
    wanted: Wanted, goals: Goals, *, chosen: str, assisted: bool,
    progress: Callable[[Progress], None] | None, news: News,
) -> Prepared:  # fmt: skip
    """Check everything, train what has to be trained, and say what the search asks.

    Args:
        wanted: What was given.
        goals: What it is for.
        chosen: The device.
        assisted: Whether a proxy stands beside the searcher.
        progress: Called after every training step.
        news: Called with a line where something else happens.
    """
    if wanted.evaluator is not None:
        return _by_evaluator(wanted, wanted.evaluator, goals, chosen=chosen)
    scores = _scores(wanted)
    if wanted.table is not None or any(goal.metric in scores for goal in goals.all):
        return _by_scores(wanted, goals, scores, chosen=chosen, assisted=assisted, news=news)
    return _by_supernet(wanted, goals, chosen=chosen, progress=progress, news=news)


def _scores(wanted: Wanted) -> dict[str, ProxyLike]:
    """Every proxy that a goal may name."""
    from nas.proxies import SCORES

    scores: dict[str, ProxyLike] = {name: name for name in SCORES}
    if wanted.proxies:
        from nas.proxies import resolve

        scores |= {proxy.name: proxy for proxy in resolve(wanted.proxies)}
    return scores


def _by_evaluator(wanted: Wanted, evaluator: Evaluator, goals: Goals, *, chosen: str) -> Prepared:
    from nas import search_spaces

    given = {**wanted.training(), "table": wanted.table, "workers": wanted.workers}
    check_untrained(given, where="an evaluator of your own answers")
    space, spec = wanted.space, "evaluator"
    if wanted.data is not None:
        loaded, space = load_problem(space, wanted.data, preset=wanted.preset)
        spec = loaded.spec
    elif isinstance(space, str):
        space = search_spaces.get(space, preset=wanted.preset)
    if space is None:
        raise UsageError("an evaluator needs a space; give its name or a space")
    goals = goals.for_task(space.task)
    _check_feasible(space, goals)
    directory = wanted.out or default_out(f"evaluated-{space.name}", spec)
    source = OwnSource(space, spec, chosen, None, None, evaluator)
    return Prepared(source, goals, directory, False, lambda: _inputs(wanted))


def _by_scores(
    wanted: Wanted, goals: Goals, scores: Mapping[str, ProxyLike], *, chosen: str, assisted: bool, news: News
) -> Prepared:
    from nas.evaluation.tabular.evaluator import located

    table = wanted.table
    check_scored(goals.all, scores, table=table is not None)
    check_untrained(wanted.training())
    if table is not None:
        if wanted.workers is not None:
            raise UsageError("--workers has no place where a table answers; leave it out")
        if not isinstance(table, Mapping):
            located(Path(table))  # before the data are read
    pool = resolve_pool(wanted.workers, device=wanted.device, chosen=chosen, goals=goals.all, racing=False)
    named = tuple(dict.fromkeys(goal.metric for goal in goals.all if goal.metric in scores))
    unseen = not named and not assisted and wanted.data is None
    inputs = table_inputs(wanted.space) if unseen else _inputs(wanted)
    goals = goals.for_task(inputs.space.task)
    _check_feasible(inputs.space, goals)
    rows, label, digest = (None, None, "") if table is None else read_rows(inputs.space, table)
    directory = wanted.out or default_out(f"zero-shot-{inputs.space.name}", inputs.spec)
    source = ScoreSource(
        inputs.space, inputs.spec, chosen, pool, news, inputs, tuple(scores[name] for name in named), rows, label,
        digest, wanted.seed or 0,
    )  # fmt: skip
    return Prepared(source, goals, directory, False, lambda: inputs)


def _by_supernet(
    wanted: Wanted, goals: Goals, *, chosen: str, progress: Callable[[Progress], None] | None, news: News
) -> Prepared:
    began = time.monotonic()
    check_measured(goals.all)
    pool = resolve_pool(wanted.workers, device=wanted.device, chosen=chosen, goals=goals.all, racing=wanted.racing)
    budget = memory_bytes(wanted.memory)
    run, data, space, directory = _problem(wanted)
    goals = goals.for_task(space.task)
    racing = racing_for(goals.objectives, goals.constraints, space.task) if wanted.racing else None
    _check_feasible(space, goals)  # before minutes of training
    check_space(directory, space)
    training_s, folder = 0.0, directory / SUPERNET
    if run is not None:
        stored, folder = run.stored, run.supernet
    elif (network := wanted.in_memory()) is not None:
        stored = _keep(directory, network, data)
    else:
        recipe = Recipe(wanted.rule, wanted.epochs, train_images=wanted.train_images, seed=wanted.seed)
        stored = obtain_supernet(
            directory, space, data, recipe, device=chosen, resume=wanted.resume, progress=progress, news=news
        )
        training_s = time.monotonic() - began
    source = SupernetSource(
        space, data.spec, chosen, pool, news, stored, data, os.path.relpath(folder.resolve(), directory.resolve()),
        training_s, racing, budget,
    )  # fmt: skip
    return Prepared(source, goals, directory, racing is not None, lambda: _inputs(wanted))


def _problem(wanted: Wanted) -> tuple[Run | None, Dataset, SearchSpace, Path]:
    """The run that is searched, if there is one, its data and space, and the folder for what is found."""
    training = {"train_images": wanted.train_images, "rule": wanted.rule, "epochs": wanted.epochs}
    if isinstance(wanted.supernet, Run | Path | str):
        check_alone({"space": wanted.space, "data": wanted.data, "preset": wanted.preset, **training})
        run = as_run(wanted.supernet)
        return run, run.data(), run.stored.supernet.space, wanted.out or run.directory
    if wanted.supernet is not None:
        check_alone({"space": wanted.space, "preset": wanted.preset, **training})
        data, space = load_problem(_space_of(wanted.supernet), wanted.data)
    else:
        data, space = load_problem(
            wanted.space, wanted.data, preset=wanted.preset, train_images=wanted.train_images, shared=True
        )
    return None, data, space, wanted.out or default_out(space.name, data.spec)


def _space_of(supernet: Supernet | StoredSupernet) -> SearchSpace:
    from nas.supernets import StoredSupernet

    return supernet.supernet.space if isinstance(supernet, StoredSupernet) else supernet.space


def _keep(directory: Path, supernet: Supernet | StoredSupernet, data: Dataset) -> StoredSupernet:
    """A supernet in memory as the run's own, so that every other call and command can open the run.

    Raises:
        UsageError: The run has another one.
    """
    from nas.supernets import StoredSupernet, load, save

    stored = isinstance(supernet, StoredSupernet)
    recipe: dict[str, Any] = dict(supernet.recipe) if isinstance(supernet, StoredSupernet) else {}
    network = supernet.supernet if isinstance(supernet, StoredSupernet) else supernet
    recipe |= {} if stored else {"data": data.spec, "data_digest": data.digest}
    folder = directory / SUPERNET
    if (folder / SUPERNET_DOCUMENT).exists():
        there = load(folder)
        with TemporaryDirectory() as spare:
            digest = save(Path(spare), network, preprocessing=data.preprocessing, recipe=recipe)
        if there.digest != digest:
            raise UsageError(f"{directory}: holds another supernet; choose another folder")
        return there
    folder.mkdir(parents=True, exist_ok=True)
    save(folder, network, preprocessing=data.preprocessing, recipe=recipe)
    return load(folder)


def _inputs(wanted: Wanted) -> ScoringInputs:
    """What proxies look at."""
    seed, count = wanted.seed or 0, wanted.proxy_images
    if (network := wanted.in_memory()) is not None:
        return scoring_inputs(_space_of(network), wanted.data, count=count, seed=seed)
    run = wanted.supernet if isinstance(wanted.supernet, Run | Path | str) else None
    return scoring_inputs(wanted.space, wanted.data, wanted.preset, run, count=count, seed=seed)


def _check_feasible(space: SearchSpace, goals: Goals) -> None:
    """Refuse budgets that nothing meets.

    Raises:
        InfeasibleBudget: Names the smallest reachable value.
    """
    from nas.search_spaces import budgets

    space.feasible(budgets(goals.constraints))
