"""What proxies look at, and what their scores are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from nas.evaluation import Evaluator
    from nas.search_spaces import Architecture, SearchSpace

TOKENS, VOCABULARY, CLASSES = 128, 30_522, 2  # of spaces of text


@dataclass(frozen=True, slots=True)
class ScoredTask:
    """A space and a batch for its networks.

    Args:
        space: Whose members.
        x: Normalised images [N, C, H, W], or numbered words [N, T].
        y: Classes [N].
        spec: The data, as --data has them.
    """

    space: SearchSpace
    x: Tensor
    y: Tensor
    spec: str

    def sample(self, count: int, seed: int) -> list[Architecture]:
        """So many different members, or fewer where there are not so many."""
        rng = np.random.default_rng(seed)
        found: dict[Architecture, None] = {}
        for _ in range(8):
            rows = self.space.sample_choices(rng, 2 * count)
            found |= dict.fromkeys(self.space.architectures(rows))
        return list(found)[:count]


def table_task(space: str | None) -> ScoredTask:
    """The task of a table where no network is looked at: its own networks, and no inputs.

    Raises:
        UsageError: No space was named, or no table is known for it.
    """
    import torch

    from nas.evaluation.tabular.registry import benchmark_space

    if space is None:
        raise UsageError("--space is missing; for example: nas search --space nasbench201 --table FILE")
    return ScoredTask(benchmark_space(space), torch.zeros(0), torch.zeros(0, dtype=torch.long), "table")


def scored_task(
    space: str | None, data: str | None, preset: str | None, supernet: Path | None, *, images: int, seed: int
) -> ScoredTask:
    """The task of the options; a supernet's run brings its own.

    Raises:
        UsageError: An option is missing, or has no place beside --supernet.
        DataError: The data are missing or damaged.
    """
    from nas.cli import runs
    from nas.cli.refusals import check_alone
    from nas.cli.train import task

    if supernet is not None:
        check_alone(space=space, data=data, preset=preset)
        run = runs.open_run(supernet)
        found, members = run.data(), run.stored.supernet.space
    elif data is not None and data.startswith("text:"):
        return _text(space, data, preset, windows=images, seed=seed)
    else:
        found, members = task(space, data, preset, None)
    import torch

    order = torch.randperm(len(found.train), generator=torch.Generator().manual_seed(seed))[:images]
    shown = found.preprocessing.normalise(found.train.images[order])
    return ScoredTask(members, shown, found.train.labels[order], found.spec)


def _text(space: str | None, data: str, preset: str | None, *, windows: int, seed: int) -> ScoredTask:
    import torch

    from nas import search_spaces
    from nas.data.text.windows import word_windows
    from nas.task import TextClassification

    if space is None:
        raise UsageError("--space is missing; for example: nas proxies --space flexibert --data text:FILE")
    members = search_spaces.get(space, task=TextClassification(TOKENS, VOCABULARY, CLASSES), preset=preset)
    path = Path(data.removeprefix("text:"))
    tokens = word_windows(path, length=TOKENS, vocabulary=VOCABULARY, count=windows, seed=seed)
    return ScoredTask(members, tokens, torch.arange(windows) % CLASSES, data)


@dataclass(frozen=True, slots=True)
class Measured:
    """Accuracies of members of a space.

    Args:
        source: Where they are from, for people.
        task: The space.
        known: All that a table has; None where an evaluator measures.
        evaluator: Measures what no table has.
        note: What the accuracies are not, for people.
    """

    source: str
    task: ScoredTask
    known: Mapping[Architecture, float] | None
    evaluator: Evaluator | None = None
    note: str | None = None

    def sample(self, count: int, seed: int) -> list[Architecture]:
        """So many members that have an accuracy."""
        if self.known is None:
            return self.task.sample(count, seed)
        members = list(self.known)
        drawn = np.random.default_rng(seed).choice(len(members), min(count, len(members)), replace=False)
        return [members[i] for i in drawn]

    def of(self, archs: Sequence[Architecture]) -> list[float]:
        """Their accuracies, fractions."""
        if self.known is not None:
            return [self.known[arch] for arch in archs]
        assert self.evaluator is not None
        return [m["accuracy"] for m in self.evaluator.evaluate(archs) if isinstance(m, dict)]


def measured_accuracies(task: ScoredTask, supernet: Path | None, table: Path | None, *, device: str) -> Measured | None:
    """What to compare with; None where nothing was given and NAS_DATA_DIR has no table of this space.

    Raises:
        UsageError: A table beside a supernet, or a space that no table is known for.
        DataError: The table is missing or damaged.
    """
    from nas.evaluation.tabular.registry import default_table, is_benchmark_space, read_table

    if supernet is not None:
        if table is not None:
            raise UsageError("--table has no place beside --supernet; leave out one")
        from nas.cli import runs
        from nas.evaluation.population.evaluator import SupernetEvaluator

        run = runs.open_run(supernet)
        return Measured(
            f"{supernet} (validation)", task, None, SupernetEvaluator(run.stored.supernet, run.data(), device=device)
        )
    path = table or default_table(task.space, task.spec)
    if path is None:
        return None
    rows = read_table(task.space, path)
    note = (
        None
        if is_benchmark_space(task.space)
        else f"accuracies are of the benchmark's networks, scores of preset {task.space.preset}"
    )
    return Measured(str(path), task, {arch: metrics["accuracy"] for arch, metrics in rows.items()}, note=note)
