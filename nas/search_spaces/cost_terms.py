"""Costs of architectures as sums of small tables, looked up for whole populations at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.search_spaces.architecture import Value
from nas.search_spaces.gene import Gene, Indices
from nas.search_spaces.metrics import COSTS

METRICS = tuple(metric.name for metric in COSTS)  # "params", "macs": the columns of every table
Chosen = Mapping[str, Value]  # the value of each gene of a term
ROWS = 2048  # architectures that are looked up together, so that positions and costs stay in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class CostTerm:
    """What a few decisions cost together.

    Args:
        genes: The names of the genes that it depends on; none for a constant.
        table: int64 [c_1 + 1, ..., c_k + 1, 2], parameters and multiply-adds for each of their choices; the last
            entry of an axis is for a gene that does not exist.
    """

    genes: tuple[str, ...]
    table: NDArray[np.int64]


def tabulated(genes: Sequence[Gene], cost: Callable[[Chosen], tuple[int, int]]) -> CostTerm:
    """The term over `genes` with the (params, macs) that `cost` gives, and nothing where one of them does not exist."""
    table = np.zeros((*(len(gene.choices) + 1 for gene in genes), len(METRICS)), dtype=np.int64)
    for at in np.ndindex(*(len(gene.choices) for gene in genes)):
        table[at] = cost({gene.name: gene.choices[i] for gene, i in zip(genes, at, strict=True)})
    return CostTerm(tuple(gene.name for gene in genes), table)


@final
class CostSum:
    """The sum of all terms of a space, for whole populations.

    All tables lie behind each other in one; where a term's entry is, is an offset plus a stride for each of its genes,
    for all terms and rows one product of matrices.

    Args:
        genes: Every gene of the space.
        terms: Its terms.

    Raises:
        UnknownName: A term names a gene that the space does not have.
        UsageError: A table is not of the shape that its genes ask for.
    """

    def __init__(self, genes: Sequence[Gene], terms: Sequence[CostTerm]) -> None:
        position = {gene.name: d for d, gene in enumerate(genes)}
        self._strides = np.zeros((len(terms), len(genes)))
        self._offsets = np.zeros((len(terms), 1))
        start = 0
        for t, term in enumerate(terms):
            _check(term, genes, position)
            sizes = term.table.shape[:-1]
            for axis, name in enumerate(term.genes):
                self._strides[t, position[name]] = math.prod(sizes[axis + 1 :])
            # The entry of "absent" comes first here, and the -1 of rows is moved to its 0.
            self._offsets[t] = start + self._strides[t].sum()
            start += math.prod(sizes)
        tables = [np.roll(term.table, 1, axis=tuple(range(len(term.genes)))).reshape(-1, 2) for term in terms]
        self._tables = np.concatenate([np.zeros((0, 2), np.int64), *tables]).T.copy()

    def __call__(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """[N, D] choice positions, -1 where a gene does not exist, to "params" and "macs", [N] each."""
        out = np.empty((len(METRICS), len(indices)), dtype=np.int64)
        for start in range(0, len(indices), ROWS):
            rows = indices[start : start + ROWS].T.astype(np.float64)  # exact, and BLAS multiplies them
            entries = (self._strides @ rows + self._offsets).astype(np.intp)
            for total, table in zip(out, self._tables, strict=True):
                total[start : start + ROWS] = table.take(entries).sum(axis=0)
        return dict(zip(METRICS, out, strict=True))


def _check(term: CostTerm, genes: Sequence[Gene], position: Mapping[str, int]) -> None:
    """Refuse a term that does not fit the genes.

    Raises:
        UnknownName: It names a gene that the space does not have.
        UsageError: Its table is of another shape.
    """
    for name in term.genes:
        if name not in position:
            raise UnknownName("gene in a cost term", name, list(position))
    shape = (*(len(genes[position[name]].choices) + 1 for name in term.genes), len(METRICS))
    if term.table.shape != shape or term.table.dtype != np.int64:
        raise UsageError(
            f"the cost term over {list(term.genes)} has a table {term.table.dtype} {list(term.table.shape)}; "
            f"it must be int64 {list(shape)}: a place for each choice and one for 'absent', then params and macs"
        )
