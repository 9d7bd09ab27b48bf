"""What travels to the workers of a pool, and what happens to a batch that came to grief. Needs no Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Literal

from nas.evaluation.evaluator import Failure, Outcome
from nas.evaluation.totals import Totals
from nas.search_spaces import Architecture, Value

TRIES = 3  # faults of an architecture alone before it is given up

Costs = Callable[[Sequence[Architecture]], Sequence[float]]  # of each, after those before it
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


def partition(
    archs: Sequence[Architecture], most: int, workers: int, costs: Costs | None = None
) -> list[tuple[Architecture, ...]]:
    """Batches of common beginnings: different architectures in network order, cut where they stand.

    There are as many batches for each worker, where there are enough architectures, and they cost about the same.

    Args:
        archs: Any, identical ones too.
        most: Architectures a batch.
        workers: How many work on them.
        costs: What architectures in this order cost; None: the same, so that sizes differ by one at most.
    """
    queue = sorted(dict.fromkeys(archs), key=_in_network_order)
    if not queue:
        return []
    count = min(len(queue), -(-len(queue) // (most * workers)) * workers)
    # Everybody costs something, or batches of many that cost nothing would come about.
    weights = [1.0] * len(queue) if costs is None else [max(1.0, cost) for cost in costs(queue)]
    until = list(accumulate(weights))
    places = [int((end - weight / 2) / until[-1] * count) for end, weight in zip(until, weights, strict=True)]
    batches = [[arch for _, arch in part] for _, part in groupby(zip(places, queue, strict=True), key=itemgetter(0))]
    return [tuple(batch[start : start + most]) for batch in batches for start in range(0, len(batch), most)]


def retried(batch: Batch, answer: Answer) -> list[Batch] | Failure:
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
