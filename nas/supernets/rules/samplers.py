"""Which sub-networks a step trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import SearchSpace
from nas.training import SubNetwork


@dataclass(frozen=True, slots=True)
class ElasticChoices:
    """How many choices of each kind of gene are elastic, from the largest down; other kinds always are, as resolution.

    Args:
        kernel, depth, width, expansion: Numbers of choices; 1 is the largest alone.
    """

    kernel: int = 1
    depth: int = 1
    width: int = 1
    expansion: int = 1

    def lowest(self, space: SearchSpace) -> NDArray[np.int64]:
        """[D]: the first elastic choice of each gene."""
        limits = {"kernel": self.kernel, "depth": self.depth, "width": self.width, "expansion": self.expansion}
        counts = [limits.get(gene.kind, len(gene.choices)) for gene in space.genes]
        first: NDArray[np.int64] = np.maximum(space.cardinalities - np.array(counts), 0)
        return first


def _resolutions(space: SearchSpace) -> list[int]:
    """Positions of the genes that say at which resolution a network runs: none or one."""
    return [d for d, gene in enumerate(space.genes) if gene.kind == "resolution"]


@dataclass(frozen=True, slots=True)
class RandomNetworks:
    """`count` networks, every elastic gene drawn uniformly on its own; all at one resolution.

    Args:
        count: Networks a step.
        elastic: The choices that are drawn from; None for all.
    """

    count: int = 1
    elastic: ElasticChoices | None = None

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        """Draw the networks of one step."""
        lowest = None if self.elastic is None else self.elastic.lowest(space)
        drawn = space.sample_choices(rng, self.count, lowest)
        for at in _resolutions(space):
            drawn[:, at] = drawn[0, at]
        return [SubNetwork(arch, "random") for arch in space.architectures(drawn)]


@dataclass(frozen=True, slots=True)
class LargestNetwork:
    """The largest network alone.

    Args:
        any_resolution: Whether its resolution is drawn, rather than the largest.
    """

    any_resolution: bool = False

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        """The largest network."""
        row = space.indices([space.largest()])
        for at in _resolutions(space) if self.any_resolution else ():
            row[:, at] = rng.integers(0, space.cardinalities[at])
        return [SubNetwork(arch, "largest") for arch in space.architectures(row)]


@dataclass(frozen=True, slots=True)
class Sandwich:
    """The largest, `middle` random ones, the smallest (Yu et al. 2020); each at its own resolution.

    Args:
        middle: Random networks a step.
    """

    middle: int = 2

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        """Largest first: it makes the soft targets for the others."""
        drawn = space.architectures(space.sample_choices(rng, self.middle))
        return [
            SubNetwork(space.largest(), "largest"),
            *(SubNetwork(arch, "random") for arch in drawn),
            SubNetwork(space.smallest(), "smallest"),
        ]
