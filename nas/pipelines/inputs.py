"""What proxies look at: a space and one batch for its networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UsageError
from nas.pipelines.checks import check_alone
from nas.pipelines.problem import load_problem
from nas.pipelines.runs import Run, as_run

if TYPE_CHECKING:
    from torch import Tensor

    from nas.data import Dataset
    from nas.search_spaces import Architecture, SearchSpace

TOKENS, VOCABULARY, CLASSES = 128, 30_522, 2  # of spaces of text


@dataclass(frozen=True, slots=True)
class ScoringInputs:
    """A space and a batch for its networks.

    Args:
        space: Whose members.
        x: Inputs as networks take them, [N, ...].
        y: Targets [N].
        spec: The data, as `nas.data.load` takes them.
    """

    space: SearchSpace
    x: Tensor
    y: Tensor
    spec: str

    def sample(self, count: int, seed: int) -> list[Architecture]:
        """So many different members, or fewer where there are not so many."""
        rng = np.random.default_rng(seed)
        members: dict[Architecture, None] = {}
        for _ in range(8):
            rows = self.space.sample_choices(rng, 2 * count)
            members |= dict.fromkeys(self.space.architectures(rows))
        return list(members)[:count]


def table_inputs(space: str | SearchSpace | None) -> ScoringInputs:
    """Where no network is looked at: the space of a benchmark's own networks, and no inputs.

    Raises:
        UsageError: No space was named, or no table is known for it.
    """
    import torch

    from nas.evaluation.tabular.registry import benchmark_space

    if space is None:
        raise UsageError("--space is missing; for example: nas search --space nasbench201 --table FILE")
    members = benchmark_space(space) if isinstance(space, str) else space
    return ScoringInputs(members, torch.zeros(0), torch.zeros(0, dtype=torch.long), "table")


def scoring_inputs(
    space: str | SearchSpace | None, data: str | Dataset | None, preset: str | None = None,
    supernet: Run | Path | str | None = None, *, count: int, seed: int,
) -> ScoringInputs:  # fmt: skip
    """A batch of the train split for members of a space; a supernet's run brings its own.

    Args:
        space: A name or a space.
        data: What `nas.data.load` takes, "text:FILE", or a data set.
        preset: Of the space.
        supernet: A run, in the place of all three.
        count: Examples to draw.
        seed: Of the draw.

    Raises:
        UsageError: Something is missing, or has no place beside a supernet.
        DataError: The data are missing or damaged.
    """
    import torch

    if supernet is not None:
        check_alone({"space": space, "data": data, "preset": preset})
        run = as_run(supernet)
        loaded, members = run.data(), run.stored.supernet.space
    elif isinstance(data, str) and data.startswith("text:"):
        return _text(space, data, preset, windows=count, seed=seed)
    else:
        loaded, members = load_problem(space, data, preset=preset)
    order = torch.randperm(loaded.size("train"), generator=torch.Generator().manual_seed(seed))[:count]
    x, y = loaded.batch("train", order)
    # In rows, whatever the data set's memory format: it decides how sums are rounded, and so scores.
    return ScoringInputs(members, x.clone(memory_format=torch.contiguous_format), y, loaded.spec)


def _text(space: str | SearchSpace | None, data: str, preset: str | None, *, windows: int, seed: int) -> ScoringInputs:
    import torch

    from nas import search_spaces
    from nas.data.text.windows import word_windows
    from nas.task import TextClassification

    if space is None:
        raise UsageError("--space is missing; for example: nas proxies --space flexibert --data text:FILE")
    task = TextClassification(TOKENS, VOCABULARY, CLASSES)
    members = search_spaces.get(space, task=task, preset=preset) if isinstance(space, str) else space
    path = Path(data.removeprefix("text:"))
    tokens = word_windows(path, length=TOKENS, vocabulary=VOCABULARY, count=windows, seed=seed)
    return ScoringInputs(members, tokens, torch.arange(windows) % CLASSES, data)
