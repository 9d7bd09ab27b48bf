"""BigNAS's coarse-to-fine selection (Yu et al., ECCV 2020, section 3.3), for any space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import ABSENT, Gene, Indices, SearchSpace
from nas.searchers.history import History
from nas.searchers.pareto import non_dominated_ranks
from nas.searchers.strategy import Strategy, check_range, distinct


@final
@dataclass(frozen=True)
class CoarseToFine(Strategy):
    """First one value per dimension for the whole network, then small changes around the best.

    The dimensions are the kinds of genes (`depth`, `width`, `kernel`, ...). All genes of a kind take the same relative
    choice, so a network is a point of a small grid. The stages are what precedes the first dot of a name.

    Args:
        coarse: Most grid points to ask; a larger grid is sampled.
    """

    coarse: int = 256

    def __post_init__(self) -> None:
        check_range("coarse", self.coarse, 1)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """The front so far: with one objective the best, with several every best compromise."""
        ranks = non_dominated_ranks(history.values[candidates], history.violation[candidates])
        return np.compress(ranks == 0, candidates)

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """Grid points within the budgets in random order, then changes of single genes and of single stages."""
        space, sample = history.problem.space, history.problem.sample
        parents = history.rows[history.population]
        grid = _grid(space, self.coarse, rng) if len(history) < self.coarse else history.rows[:0]

        def fine(source: np.random.Generator, k: int) -> Indices:
            return _around(space, parents[source.integers(len(parents), size=k)], source)

        draws = (fine, sample) if len(parents) else (sample,)
        return distinct(history, rng, n, lambda source, k: source.permutation(grid), *draws)


def stages(genes: Sequence[Gene]) -> list[str]:
    """The part of the network that each gene belongs to: its name before the first dot."""
    return [gene.name.partition(".")[0] for gene in genes]


def _grid(space: SearchSpace, most: int, rng: np.random.Generator) -> Indices:
    """All combinations of one level per kind, or `most` random ones where there are more."""
    names = [gene.kind for gene in space.genes]
    unique = list(dict.fromkeys(names))
    kind = np.array([unique.index(name) for name in names])
    levels = np.array([space.cardinalities[kind == i].max() for i in range(len(unique))])
    if math.prod(levels.tolist()) <= most:
        chosen = np.stack(np.meshgrid(*(np.arange(c) for c in levels), indexing="ij"), axis=-1).reshape(-1, len(unique))
    else:
        chosen = rng.integers(levels, size=(most, len(unique)))
    relative = chosen / np.maximum(levels - 1, 1)
    return space.canonical(np.rint(relative[:, kind] * (space.cardinalities - 1)).astype(np.int16))


def _around(space: SearchSpace, parents: Indices, rng: np.random.Generator) -> Indices:
    """Half of the children change one gene, half redraw the genes of one stage with chance 1/2 each."""
    single = space.mutate_indices(parents, rng, 0.0)
    names = stages(space.genes)
    unique = list(dict.fromkeys(names))
    stage = np.array([unique.index(name) for name in names])
    inside = stage == rng.integers(len(unique), size=(len(parents), 1))
    fresh = rng.integers(0, space.cardinalities, size=parents.shape)
    redrawn = np.where(inside & (rng.random(parents.shape) < 0.5), fresh, parents)
    # A gene that comes into existence has no parent's value.
    redrawn = space.canonical(np.where(redrawn == ABSENT, fresh, redrawn).astype(np.int16))
    return np.where(rng.random((len(parents), 1)) < 0.5, single, redrawn)
