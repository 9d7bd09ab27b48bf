"""What a search found, as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.evaluation import PARTIAL
from nas.objectives import Constraint, Objective
from nas.reports.selection import best, feasible, front, knee
from nas.searchers import Trial


def search_document(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint] = (), *,
    out: Path | None, wall_s: float, new: int | None = None, exhausted: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What `nas search --json` prints.

    Args:
        trials: All finished trials.
        objectives: What was wanted.
        constraints: What had to hold.
        out: The run's folder.
        wall_s: What the search took.
        new: Trials that this run evaluated; None means all of them.
        exhausted: Whether the searcher found nothing new any more.

    Returns:
        `trials`, `failed`, `stopped` (by racing), `feasible` and `new` are counts. `front` is a list of
        `{"digest", "arch", "metrics"}`, `best` and `knee` are one of these or None.
    """
    members = front(trials, objectives, constraints)
    return {
        "trials": len(trials),
        "new": len(trials) if new is None else new,
        "failed": sum(not trial.metrics for trial in trials),
        "stopped": sum(PARTIAL in trial.metrics for trial in trials),
        "feasible": len(feasible(trials, constraints)),
        "exhausted": exhausted,
        "objectives": [str(objective) for objective in objectives],
        "constraints": [str(constraint) for constraint in constraints],
        "front": [_document(trial) for trial in members],
        "best": _document(best(trials, objectives, constraints)),
        "knee": _document(knee(members, objectives)),
        "out": None if out is None else str(out),
        "wall_s": wall_s,
    }


def _document(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {"digest": trial.arch.digest, "arch": trial.arch.to_json(), "metrics": dict(trial.metrics)}
