"""The contract of what turns architectures into metrics. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nas.search_spaces import Architecture

Metrics = dict[str, float]
PARTIAL = "partial_images"  # a metric of architectures that were stopped early: how many images the others are from


@dataclass(frozen=True, slots=True)
class Failure:
    """An architecture that could not be evaluated.

    Args:
        reason: Why, in one line.
    """

    reason: str


Outcome = Metrics | Failure


class Evaluator(Protocol):
    """Measures architectures, many at a time."""

    def evaluate(self, archs: Sequence[Architecture]) -> Sequence[Outcome]:
        """The metrics of each architecture, or why it has none, in the order of `archs`.

        A member's metrics do not depend on who else is in the call. `accuracy` is a fraction on the
        search-validation split, `test_accuracy` one on the test split, which no search sees; other names carry
        their unit. `params` and `macs` may be left out: the space knows them exactly. A metric that is NaN or
        infinite makes its architecture a failed trial. Where a race stopped an architecture, `partial_images` says
        on how many images its metrics are; such a trial is never part of a front.

        Args:
            archs: Members of one space.

        Raises:
            NasError: An architecture of the call, or the whole set-up, cannot be evaluated.
        """
        ...


@runtime_checkable
class StreamingEvaluator(Evaluator, Protocol):
    """An evaluator that works on several batches at once and hands results over as they come."""

    @property
    def slots(self) -> int:
        """How many batches it works on at the same time."""
        ...

    def submit(self, archs: Sequence[Architecture]) -> None:
        """Start to evaluate one batch; returns at once."""
        ...

    def collect(self) -> list[tuple[Architecture, Outcome]]:
        """Wait for the next batch to finish and return all of it; batches come in any order.

        Raises:
            UsageError: Nothing was submitted that is not collected yet.
            NasError: The whole set-up cannot be evaluated.
        """
        ...
