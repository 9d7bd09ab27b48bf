"""Any searcher with a cheap score beside it: of several proposals only the best by the score is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import Architecture, Indices
from nas.searchers.history import History
from nas.searchers.strategy import Strategy, check_range

Score = Callable[[Sequence[Architecture]], Sequence[float]]


@final
@dataclass(frozen=True)
class Assisted(Strategy):
    """Best of several proposals by a score, as GradSign was used (Zhang and Jia 2022).

    It can hurt: a score that misleads among good members holds the search back (see results/LOG.md), so compare with
    the strategy alone.

    Args:
        inner: Who proposes.
        score: Gives each architecture a number, higher is better, always the same one; what is not finite counts as
            the worst. It is asked again for what it scored before: let it remember.
        candidates: Proposals for each architecture that is evaluated (m).
        alone: Architectures at first that are not assisted, such as a first population.
        name: What identifies the score in a ledger.
    """

    inner: Strategy
    score: Score = field(repr=False)
    candidates: int = 10
    alone: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        check_range("candidates", self.candidates, 1)
        check_range("alone", self.alone, 0)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """As the inner strategy has it."""
        return self.inner.survivors(history, candidates)

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """The best of so many proposals, n times."""
        first = max(0, min(n, self.alone - len(history)))
        chosen = {row.tobytes(): row for row in (self.inner.propose(history, rng, first) if first else ())}
        while len(chosen) < n:
            rows = [row for row in self.inner.propose(history, rng, self.candidates) if row.tobytes() not in chosen]
            if not rows:
                break
            scores = np.array(self.score(history.problem.space.architectures(np.stack(rows))), dtype=np.float64)
            best = rows[int(np.where(np.isfinite(scores), scores, -np.inf).argmax())]
            chosen[best.tobytes()] = best
        width = len(history.problem.space.genes)
        return np.array(list(chosen.values()), dtype=np.int16).reshape(len(chosen), width)
