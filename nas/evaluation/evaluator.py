"""The contract of what turns architectures into metrics. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nas.search_spaces import Architecture

Metrics = dict[str, float]


class Evaluator(Protocol):
    """Measures architectures, many at a time."""

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """The metrics of each architecture, in the order of `archs`.

        A member's metrics do not depend on who else is in the call. `accuracy` is a fraction on the
        search-validation split, `test_accuracy` one on the test split, which no search sees; other names carry
        their unit. `params` and `macs` may be left out: the space knows them exactly. A metric that is NaN or
        infinite makes its architecture a failed trial.

        Args:
            archs: Members of one space.

        Raises:
            NasError: An architecture of the call, or the whole set-up, cannot be evaluated.
        """
        ...
