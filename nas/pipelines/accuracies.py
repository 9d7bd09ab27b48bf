"""Accuracies that scores of proxies are compared with: those of a supernet, or of a benchmark's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UsageError
from nas.pipelines.inputs import ScoringInputs
from nas.pipelines.runs import Run, as_run

if TYPE_CHECKING:
    from nas.evaluation import Evaluator
    from nas.search_spaces import Architecture


@dataclass(frozen=True, slots=True)
class Measured:
    """Accuracies of members of a space.

    Args:
        source: Where they are from, for people.
        inputs: The space.
        known: All that a table has; None where an evaluator measures.
        evaluator: Measures what no table has.
        note: What the accuracies are not, for people.
    """

    source: str
    inputs: ScoringInputs
    known: Mapping[Architecture, float] | None
    evaluator: Evaluator | None = None
    note: str | None = None

    def sample(self, count: int, seed: int) -> list[Architecture]:
        """So many members that have an accuracy."""
        if self.known is None:
            return self.inputs.sample(count, seed)
        members = list(self.known)
        drawn = np.random.default_rng(seed).choice(len(members), min(count, len(members)), replace=False)
        return [members[i] for i in drawn]

    def of(self, archs: Sequence[Architecture]) -> list[float]:
        """Their accuracies, fractions."""
        if self.known is not None:
            return [self.known[arch] for arch in archs]
        assert self.evaluator is not None
        return [m["accuracy"] for m in self.evaluator.evaluate(archs) if isinstance(m, dict)]


def measured_accuracies(
    inputs: ScoringInputs, supernet: Run | Path | str | None, table: Path | None, *, device: str
) -> Measured | None:
    """What to compare with; None where nothing was given and NAS_DATA_DIR has no table of this space.

    Raises:
        UsageError: A table beside a supernet, or a space that no table is known for.
        DataError: The table is missing or damaged.
    """
    from nas.evaluation.tabular.registry import default_table, is_benchmark_space, read_table

    if supernet is not None:
        if table is not None:
            raise UsageError("--table has no place beside --supernet; leave out one")
        from nas.evaluation.population.evaluator import SupernetEvaluator

        run = as_run(supernet)
        evaluator = SupernetEvaluator(run.stored.supernet, run.data(), device=device)
        return Measured(f"{run.directory} (validation)", inputs, None, evaluator)
    path = table or default_table(inputs.space, inputs.spec)
    if path is None:
        return None
    rows = read_table(inputs.space, path)
    note = (
        None
        if is_benchmark_space(inputs.space)
        else f"accuracies are of the benchmark's networks, scores of preset {inputs.space.preset}"
    )
    return Measured(str(path), inputs, {arch: metrics["accuracy"] for arch, metrics in rows.items()}, note=note)
