"""What a search wants: objectives and constraints as texts or values, and what their metrics are called."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from nas.objectives import Constraint, Metric, Objective

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from nas.task import Task


@dataclass(frozen=True, slots=True)
class Goals:
    """Objectives, constraints, and the metrics that reports know.

    Args:
        objectives: What to improve; empty until `for_task` where nobody said.
        constraints: What has to hold.
        metrics: By name; others are shown by their names.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    metrics: Mapping[str, Metric]

    @classmethod
    def parse(
        cls, objectives: Sequence[str | Objective] | None, constraints: Sequence[str | Constraint],
        own: Mapping[str, Metric],
    ) -> Goals:  # fmt: skip
        """Goals of texts and values.

        Args:
            objectives: See `Objective.parse`; None: the task's own.
            constraints: See `Constraint.parse`.
            own: Metrics of the caller's own proxies.

        Raises:
            UnknownName: No such metric, and no direction either.
            UsageError: A text is of another form.
        """
        from nas.evaluation.metrics import DECLARED

        # A `ChainMap` only reads the maps behind its first.
        known = ChainMap(dict(own), cast("MutableMapping[str, Metric]", DECLARED)) if own else DECLARED
        return cls(
            tuple(Objective.parse(o, known) if isinstance(o, str) else o for o in objectives or ()),
            tuple(Constraint.parse(c) if isinstance(c, str) else c for c in constraints),
            known,
        )

    @property
    def all(self) -> tuple[Objective | Constraint, ...]:
        """Both."""
        return (*self.objectives, *self.constraints)

    def for_task(self, task: Task) -> Goals:
        """With the task's own objectives where nobody said what is wanted."""
        if self.objectives:
            return self
        return replace(self, objectives=tuple(Objective.parse(text, self.metrics) for text in task.objectives))
