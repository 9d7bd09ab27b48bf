"""A search that costs nothing: metrics that follow from an architecture alone, and searchers that follow a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas import searchers
from nas.evaluation import Evaluator, Failure, Metrics, Outcome
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, Indices, SearchSpace
from nas.searchers import History, Searcher, Strategy, Trial
from nas.study import Study
from tests.spaces import SPACES

SPACE = SPACES["learned"]
OBJECTIVES = (Objective("accuracy", "max"), Objective("macs", "min"))
PROVENANCE = {"weights": "w0", "data": "d0", "device": "cpu"}


def accuracy(arch: Architecture) -> float:
    """Between 0 and 1, and no pattern in it."""
    return int(arch.digest[:8], 16) / 2**32


@dataclass
class Table:
    """An evaluator that counts, and calls `disturb` before each architecture."""

    disturb: Callable[[Architecture], None] = lambda arch: None
    extra: Mapping[str, float] = field(default_factory=dict)
    seen: list[Architecture] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        self.calls.append(len(archs))
        rows = []
        for arch in archs:
            self.disturb(arch)
            self.seen.append(arch)
            rows.append({"accuracy": accuracy(arch), **self.extra})
        return rows


@dataclass
class Pool(Table):
    """A streaming evaluator without processes: a seeded draw decides which of the batches under way is finished."""

    slots: int = 3
    seed: int = 0
    broken: Callable[[Architecture], bool] = lambda arch: False
    under_way: list[list[Architecture]] = field(default_factory=list)
    loads: list[int] = field(default_factory=list)  # how many batches were under way at each `collect`

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def submit(self, archs: Sequence[Architecture]) -> None:
        assert archs
        self.under_way.append(list(archs))

    def collect(self) -> list[tuple[Architecture, Outcome]]:
        self.loads.append(len(self.under_way))
        archs = self.under_way.pop(self._rng.integers(len(self.under_way)))
        rows = self.evaluate(archs)
        return [(a, Failure("broken") if self.broken(a) else row) for a, row in zip(archs, rows, strict=True)]


@dataclass(frozen=True)
class Script(Strategy):
    """Asks the members at the positions of a fixed random list that the script has for each batch."""

    batches: tuple[tuple[int, ...], ...]

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        return candidates[:0]

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        at = self.batches[history.batch] if history.batch < len(self.batches) else ()
        return np.asarray(pool(history.problem.space)[list(at)], dtype=np.int16)


def pool(space: SearchSpace = SPACE) -> Indices:
    return np.unique(space.sample_choices(np.random.default_rng(7), 200), axis=0)


def study(
    evaluator: Evaluator | None = None, directory: Path | None = None, *, searcher: str | Strategy = "random",
    objectives: Sequence[Objective] = OBJECTIVES, constraints: Sequence[Constraint] = (), space: SearchSpace = SPACE,
    seed: int = 0, batch: int = 4, provenance: Mapping[str, str] = PROVENANCE, **options: Any,
) -> Study:  # fmt: skip
    made = (
        searchers.get(searcher)(space, objectives, constraints, seed=seed)
        if isinstance(searcher, str)
        else Searcher(space, objectives, constraints, seed=seed, strategy=searcher)
    )
    return Study(
        space, made, evaluator or Table(), objectives, constraints,
        seed=seed, directory=directory, batch=batch, provenance=provenance, **options,
    )  # fmt: skip


def plain(trials: Sequence[Trial]) -> list[tuple[int, str, dict[str, float], int]]:
    """All that two equal searches must agree in."""
    return [(t.number, t.arch.digest, dict(t.metrics), t.batch) for t in trials]
