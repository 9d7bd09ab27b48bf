"""Where a search has its metrics from: a trained supernet, proxies and tables, or an evaluator of the caller's own."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nas.errors import UsageError
from nas.files import file_digest
from nas.objectives import TEST_PREFIX
from nas.pipelines.goals import Goals
from nas.pipelines.inputs import ScoringInputs
from nas.pipelines.workers import WorkerPool, lazily_started

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.evaluation import Evaluator, Metrics
    from nas.evaluation.population.racing import Racing
    from nas.proxies.proxy import ProxyLike
    from nas.search_spaces import Architecture, SearchSpace
    from nas.study.progress import Counters
    from nas.supernets import StoredSupernet

Rows = Mapping["Architecture", "Metrics"]


@dataclass(frozen=True)
class Source(ABC):
    """What a search asks for metrics.

    Args:
        space: Whose members it measures.
        spec: The data, for people and documents.
        device: Where this process computes.
        pool: Workers that evaluate in its place.
        news: Told when workers start.
    """

    space: SearchSpace
    spec: str
    device: str
    pool: WorkerPool | None
    news: Callable[[str], None] | None

    @property
    def where(self) -> str:
        """The device that evaluates."""
        return self.device if self.pool is None else self.pool.device

    @property
    @abstractmethod
    def provenance(self) -> dict[str, str]:
        """Digests "weights" and "data" that the ledger keeps with every trial."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a search's document says about it."""

    @abstractmethod
    def opened(self, goals: Goals) -> AbstractContextManager[tuple[Evaluator, Counters | None]]:
        """The evaluator for these goals, and where to read what it does; workers end with the block."""

    @abstractmethod
    def tested(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """What no search saw of each, behind `test_`; empty where there is nothing."""


@final
@dataclass(frozen=True)
class SupernetSource(Source):
    """Accuracies by inherited weights.

    Args:
        stored: The supernet.
        data: Its data set.
        folder: Where the supernet is, relative to the run.
        training_s: What training took just now; 0 where nothing was trained.
        racing: Who may be stopped early; in this process alone.
        budget_bytes: Of each evaluator, see `SupernetEvaluator`.
    """

    stored: StoredSupernet
    data: Dataset
    folder: str
    training_s: float = 0.0
    racing: Racing | None = None
    budget_bytes: int | None = None

    @property
    def provenance(self) -> dict[str, str]:
        """Digests of the weights and of the data."""
        return {"weights": self.stored.digest, "data": self.data.digest}

    @property
    def facts(self) -> dict[str, Any]:
        """The weights, how they were trained, and where they are."""
        return {
            "weights": self.stored.digest,
            "recipe": dict(self.stored.recipe),
            "supernet": self.folder,
            "training_s": self.training_s,
        }

    @contextmanager
    def opened(self, goals: Goals) -> Iterator[tuple[Evaluator, Counters | None]]:
        """Accuracies, here or on workers, and latency measured here where a goal names it."""
        from nas.evaluation.population.evaluator import SupernetEvaluator
        from nas.study.progress import Counters

        if self.pool is None:
            here = SupernetEvaluator(
                self.stored.supernet, self.data, device=self.device, racing=self.racing, budget_bytes=self.budget_bytes
            )
            yield self._with_latency(here, goals), Counters(lambda: here.totals, lambda: 1)
            return
        from nas.cluster import supernet_pool

        start = partial(
            supernet_pool.supernet_pool, self.stored.supernet, self.data, workers=self.pool.count,
            address=self.pool.address, device=self.pool.device, cpus=self.pool.cpus, gpus=self.pool.gpus,
            budget_bytes=self.budget_bytes,
        )  # fmt: skip
        with lazily_started(self.pool, start, self.news) as (pool, counters):
            yield self._with_latency(pool, goals), counters

    def _with_latency(self, accuracy: Evaluator, goals: Goals) -> Evaluator:
        from nas.evaluation.combined import Combined
        from nas.evaluation.latency import LATENCY, LatencyEvaluator

        if not any(goal.metric == LATENCY.name for goal in goals.all):
            return accuracy
        return Combined([accuracy, LatencyEvaluator(self.stored.supernet, device=self.device)])

    def tested(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """Metrics on the test split."""
        from nas.evaluation.population.evaluator import SupernetEvaluator

        evaluator = SupernetEvaluator(
            self.stored.supernet, self.data, split="test", device=self.device, budget_bytes=self.budget_bytes
        )
        return evaluator.evaluate(archs)


@final
@dataclass(frozen=True)
class ScoreSource(Source):
    """Scores of untrained networks, and a benchmark's accuracies.

    Args:
        inputs: What the networks see.
        proxies: Those that the goals name.
        rows: What the table holds; None without one.
        table: The table for documents.
        table_digest: Of what it holds.
        seed: Of the weights that are scored.
    """

    inputs: ScoringInputs
    proxies: tuple[ProxyLike, ...]
    rows: Rows | None
    table: str | None
    table_digest: str
    seed: int

    @property
    def provenance(self) -> dict[str, str]:
        """The seed of the weights, and what was looked at."""
        count = len(self.inputs.x)
        seen = f"{count} of {self.spec} (--proxy-images)" if count else self.spec
        if self.rows is not None:
            seen += f", table {self.table_digest}"
        return {"weights": f"untrained, seed {self.seed}", "data": seen}

    @property
    def facts(self) -> dict[str, Any]:
        """How many examples were looked at, and the table."""
        return {"proxy_images": len(self.inputs.x), "table": self.table}

    @contextmanager
    def opened(self, goals: Goals) -> Iterator[tuple[Evaluator, Counters | None]]:
        """The table's metrics but those of the test split, and scores, here or on workers."""
        from nas.evaluation.combined import Combined
        from nas.evaluation.proxy_evaluator import ProxyEvaluator
        from nas.evaluation.tabular.evaluator import TableEvaluator
        from nas.study.progress import Counters

        x, y = self.inputs.x, self.inputs.y
        if self.pool is not None:
            from nas.cluster.proxy_pool import proxy_pool

            start = partial(
                proxy_pool, self.space, self.proxies, x, y, workers=self.pool.count, address=self.pool.address,
                device=self.pool.device, cpus=self.pool.cpus, gpus=self.pool.gpus, seed=self.seed,
            )  # fmt: skip
            with lazily_started(self.pool, start, self.news) as (pool, counted):
                yield pool, counted
            return
        parts: list[Evaluator] = []
        if self.rows is not None:
            seen = {
                arch: {name: value for name, value in metrics.items() if not name.startswith(TEST_PREFIX)}
                for arch, metrics in self.rows.items()
            }
            parts.append(TableEvaluator(seen))
        counters: Counters | None = None
        if self.proxies:
            scored = ProxyEvaluator(self.space, self.proxies, x, y, device=self.device, seed=self.seed)
            parts, counters = [*parts, scored], Counters(lambda: scored.totals, lambda: 1)
        yield (parts[0] if len(parts) == 1 else Combined(parts)), counters

    def tested(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """The table's metrics of the test split."""
        rows: Rows = self.rows or {}
        return [
            {name: value for name, value in rows.get(arch, {}).items() if name.startswith(TEST_PREFIX)}
            for arch in archs
        ]


@final
@dataclass(frozen=True)
class OwnSource(Source):
    """An evaluator of the caller's own.

    Args:
        evaluator: It.
    """

    evaluator: Evaluator

    @property
    def provenance(self) -> dict[str, str]:
        """The data alone."""
        return {"weights": "", "data": self.spec}

    @property
    def facts(self) -> dict[str, Any]:
        """What the evaluator is."""
        return {"evaluator": type(self.evaluator).__name__}

    @contextmanager
    def opened(self, goals: Goals) -> Iterator[tuple[Evaluator, Counters | None]]:
        """It as it is."""
        yield self.evaluator, None

    def tested(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """Nothing."""
        return [{} for _ in archs]


def read_rows(space: SearchSpace, table: Path | str | Rows) -> tuple[Rows, str, str]:
    """What a table holds, what documents call it, and a digest.

    Args:
        space: Whose members a search would ask for.
        table: A file, see `nas.evaluation.tabular`, or metrics by architecture.

    Raises:
        UsageError: No table is known for this space, or a search would ask for what it does not hold.
        DataError: The file is missing or damaged.
    """
    from nas.evaluation.tabular.evaluator import located
    from nas.evaluation.tabular.registry import is_benchmark_space, read_table

    if isinstance(table, Mapping):
        lines = sorted(f"{arch.digest} {sorted(metrics.items())}" for arch, metrics in table.items())
        return table, "own", hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    path = Path(table)
    rows = read_table(space, path)
    if not is_benchmark_space(space):
        raise UsageError(
            f"{path.name} has accuracies of {space.name}'s own networks, and preset {space.preset!r} has other costs; "
            "leave --preset out"
        )
    if 2 * len(rows) < space.size:
        raise UsageError(
            f"{path.name} holds {len(rows):,} of {space.size:,} members, and a search would ask for the others; "
            "'nas proxies --table' compares scores with it"
        )
    return rows, str(table), file_digest(located(path))
