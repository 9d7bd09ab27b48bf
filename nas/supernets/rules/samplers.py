"""Which sub-networks a step trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces import SearchSpace
from nas.training import Slot


@dataclass(frozen=True, slots=True)
class Opened:
    """How many choices of each kind of gene are open, from the largest down; resolution is always fully open.

    Args:
        kernel, depth, width, expansion: Numbers of open choices; 1 is the largest alone.
    """

    kernel: int = 1
    depth: int = 1
    width: int = 1
    expansion: int = 1

    def lowest(self, space: SearchSpace) -> NDArray[np.int64]:
        """[D]: the first open choice of each gene."""
        opened = {"kernel": self.kernel, "depth": self.depth, "width": self.width, "expansion": self.expansion}
        limits = [opened.get(gene.kind, len(gene.choices)) for gene in space.genes]
        first: NDArray[np.int64] = np.maximum(space.cardinalities - np.array(limits), 0)
        return first


def _resolutions(space: SearchSpace) -> list[int]:
    """Positions of the genes that say at which resolution a network runs: none or one."""
    return [d for d, gene in enumerate(space.genes) if gene.kind == "resolution"]


@dataclass(frozen=True, slots=True)
class RandomNetworks:
    """`count` networks, every open gene drawn uniformly on its own; all at one resolution.

    Args:
        count: Networks a step.
        opened: The choices that are open; None for all.
    """

    count: int = 1
    opened: Opened | None = None

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[Slot]:
        """Draw the networks of one step."""
        lowest = None if self.opened is None else self.opened.lowest(space)
        drawn = space.sample_choices(rng, self.count, lowest)
        for at in _resolutions(space):
            drawn[:, at] = drawn[0, at]
        return [Slot(arch, "random") for arch in space.architectures(drawn)]


@dataclass(frozen=True, slots=True)
class LargestNetwork:
    """The largest network alone.

    Args:
        any_resolution: Whether its resolution is drawn, rather than the largest.
    """

    any_resolution: bool = False

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[Slot]:
        """The largest network."""
        row = space.indices([space.largest()])
        for at in _resolutions(space) if self.any_resolution else ():
            row[:, at] = rng.integers(0, space.cardinalities[at])
        return [Slot(arch, "largest") for arch in space.architectures(row)]


@dataclass(frozen=True, slots=True)
class Sandwich:
    """The largest, `middle` random ones, the smallest (Yu et al. 2020); each at its own resolution.

    Args:
        middle: Random networks a step.
    """

    middle: int = 2

    def __call__(self, space: SearchSpace, rng: np.random.Generator) -> list[Slot]:
        """Largest first: it makes the targets for the others."""
        drawn = space.architectures(space.sample_choices(rng, self.middle))
        return [
            Slot(space.largest(), "largest"),
            *(Slot(arch, "random") for arch in drawn),
            Slot(space.smallest(), "smallest"),
        ]
