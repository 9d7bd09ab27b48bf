"""What travels to the workers of a pool, and what happens to a batch that came to grief. Needs no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from nas.evaluation.evaluator import Failure, Outcome
from nas.evaluation.totals import Totals
from nas.search_spaces import Architecture, Value

TRIES = 3  # faults of an architecture alone before it is given up

Kind = Literal["done", "lost", "memory", "refused", "usage", "broken"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call to a worker.

    Args:
        kind: "done"; "lost": its process died or can no longer be trusted; "memory": there was too little of it;
            "refused": a NasError; "usage": a UsageError, which is for the caller; "broken": a fault in the program.
        text: Why, in one line; for "broken" with its traceback.
        outcomes: Where it is done, one an architecture.
        totals: What the call added to the evaluator's.
    """

    kind: Kind
    text: str = ""
    outcomes: Sequence[Outcome] = ()
    totals: Totals = field(default_factory=Totals)


@dataclass(frozen=True, slots=True)
class Batch:
    """Architectures that a worker evaluates in one call.

    Args:
        job: Number of the call of the pool that they belong to.
        archs: Different ones.
        faults: How often this batch came to grief; counted only where it is of one.
    """

    job: int
    archs: tuple[Architecture, ...]
    faults: int = 0


def cut(archs: Sequence[Architecture], most: int, workers: int) -> list[tuple[Architecture, ...]]:
    """Batches of common beginnings: different architectures in network order, cut where they stand.

    There are as many batches for each worker, where there are enough architectures, and their sizes differ by one at
    most.

    Args:
        archs: Any, identical ones too.
        most: Architectures a batch.
        workers: How many work on them.
    """
    queue = sorted(dict.fromkeys(archs), key=_in_network_order)
    count = min(len(queue), -(-len(queue) // (most * workers)) * workers)
    ends = [len(queue) * number // count for number in range(count + 1)] if count else []
    return [tuple(queue[start:end]) for start, end in pairwise(ends)]


def after(batch: Batch, answer: Answer) -> list[Batch] | Failure:
    """What to do with a batch that was lost, too large for the memory, or refused.

    Several are halved, so that in the end an architecture answers only for what it does alone; alone it is asked
    again, but for refusals, which repeat.

    Returns:
        What to ask next; or, where its single architecture is given up, why.
    """
    if len(batch.archs) > 1:
        half = len(batch.archs) // 2
        return [Batch(batch.job, batch.archs[:half]), Batch(batch.job, batch.archs[half:])]
    if answer.kind == "refused":
        return Failure(answer.text)
    faults = batch.faults + 1
    return Failure(f"{answer.text} ({TRIES} times)") if faults == TRIES else [Batch(batch.job, batch.archs, faults)]


def _in_network_order(arch: Architecture) -> list[tuple[int, int, str]]:
    """Absent genes first; values of different kinds do not compare."""
    return [_rank(value) for value in arch.values]


def _rank(value: Value | None) -> tuple[int, int, str]:
    if value is None:
        return (0, 0, "")
    return (2, 0, value) if isinstance(value, str) else (1, value, "")
