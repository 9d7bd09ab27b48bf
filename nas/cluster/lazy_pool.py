"""A pool of workers that starts when there is work for it: what needs none is refused or done at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, final

from nas.evaluation.totals import Totals

if TYPE_CHECKING:
    from nas.cluster.pool import RayEvaluator
    from nas.evaluation import Outcome
    from nas.search_spaces import Architecture


@final
class LazyPool:
    """A `RayEvaluator` that is made by its first batch.

    Args:
        slots: How many workers it will have.
        start: Makes it.
    """

    def __init__(self, slots: int, start: Callable[[], RayEvaluator]) -> None:
        self.slots, self._start = slots, start

    @cached_property
    def _pool(self) -> RayEvaluator:
        return self._start()

    @property
    def _running(self) -> RayEvaluator | None:
        started: RayEvaluator | None = self.__dict__.get("_pool")
        return started

    @property
    def alive(self) -> int:
        """Workers that are ready or at work."""
        return 0 if self._running is None else self._running.alive

    @property
    def totals(self) -> Totals:
        """What was done so far."""
        return Totals() if self._running is None else self._running.totals

    def evaluate(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """See `RayEvaluator`."""
        return self._pool.evaluate(archs)

    def submit(self, archs: Sequence[Architecture]) -> None:
        """See `RayEvaluator`."""
        self._pool.submit(archs)

    def collect(self) -> list[tuple[Architecture, Outcome]]:
        """See `RayEvaluator`."""
        return self._pool.collect()
