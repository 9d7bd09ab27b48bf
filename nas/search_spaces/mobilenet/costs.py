"""Closed-form costs of MobileNet populations: one table a block, indexed by the genes it depends on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.search_spaces.mobilenet.space import MobileNetSpace
    from nas.search_spaces.space import Indices

Table = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Term:
    """Costs [c_1 + 1, ..., c_m + 1, 2] over genes; the last entry of each axis, where -1 points, is 0."""

    genes: tuple[int, ...]
    table: Table


class CostTables:
    """Exact (params, macs) of rows of choice positions as sums of table look-ups.

    Args:
        space: The space whose blocks are tabulated.
    """

    def __init__(self, space: MobileNetSpace) -> None:
        self._space = space
        self._terms = [self._ends()]
        for s, spec in enumerate(space.config.stages):
            self._terms += [self._block(s, b) for b in range(spec.depths[-1])]

    def costs(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """[N, D] choice positions to exact "params" and "macs", [N] each."""
        total = np.zeros((len(indices), 2), dtype=np.int64)
        for term in self._terms:
            total += term.table[tuple(indices[:, g] for g in term.genes)] if term.genes else term.table
        return {"params": total[:, 0].copy(), "macs": total[:, 1].copy()}

    def _sizes(self, resolution: int, stage: int) -> int:
        """Pixels that enter `stage`."""
        size = -(-resolution // self._space.config.stem_stride)
        for spec in self._space.config.stages[:stage]:
            size = -(-size // spec.stride)
        return size

    def _term(self, axes: dict[str, tuple[int, ...]], cost: dict[tuple[int, ...], tuple[int, int]]) -> _Term:
        """A term over those axes that are genes, from costs over all of them."""
        genes = tuple(self._space.position[name] for name in axes if name in self._space.position)
        free = [name in self._space.position for name in axes]
        table = np.zeros([len(c) + 1 for c, f in zip(axes.values(), free, strict=True) if f] + [2], dtype=np.int64)
        for at, value in cost.items():
            table[tuple(i for i, f in zip(at, free, strict=True) if f)] = value
        return _Term(genes, table)

    def _block(self, s: int, b: int) -> _Term:
        space, spec = self._space, self._space.config.stages[s]
        axes = {"resolution": space.config.resolutions}
        if b == 0 and s > 0:
            axes[f"stage{s - 1}.width"] = space.config.stages[s - 1].widths
        axes[f"stage{s}.width"] = spec.widths
        axes[f"stage{s}.block{b}.kernel"] = spec.kernels
        axes[f"stage{s}.block{b}.expansion"] = spec.expansions
        if b >= spec.depths[0] and len(spec.kernels) == len(spec.expansions) == 1:
            axes[f"stage{s}.depth"] = spec.depths  # no gene of its own says whether this block exists
        cost = {}
        for at in itertools.product(*(range(len(c)) for c in axes.values())):
            v = {name: choices[i] for (name, choices), i in zip(axes.items(), at, strict=True)}
            width, size = v[f"stage{s}.width"], self._sizes(v["resolution"], s)
            incoming = v.get(f"stage{s - 1}.width", space.config.stem_channels) if b == 0 else width
            size = size if b == 0 else -(-size // spec.stride)
            block = space.block(
                s, b, incoming, width, v[f"stage{s}.block{b}.kernel"], v[f"stage{s}.block{b}.expansion"], size
            )
            present = v.get(f"stage{s}.depth", b + 1) > b
            cost[at] = (block.params, block.macs) if present else (0, 0)
        return self._term(axes, cost)

    def _ends(self) -> _Term:
        """Stem and head together."""
        space = self._space
        last = len(space.config.stages) - 1
        axes = {"resolution": space.config.resolutions, f"stage{last}.width": space.config.stages[last].widths}
        cost = {}
        for at in itertools.product(*(range(len(c)) for c in axes.values())):
            resolution, width = space.config.resolutions[at[0]], space.config.stages[last].widths[at[1]]
            size = self._sizes(resolution, last + 1)
            plan = space.network(resolution, (space.block(last, 1, 1, width, 1, 1, size),))
            cost[at] = (plan.stem_cost[0] + plan.head_cost[0], plan.stem_cost[1] + plan.head_cost[1])
        return self._term(axes, cost)
