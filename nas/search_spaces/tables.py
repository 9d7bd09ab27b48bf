"""Exact distributions of integer costs: how many paths have which cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Counts = NDArray[Any]  # int64, or Python integers (dtype object) where int64 could overflow
Kind = type[Any]  # np.int64 or object
SAFE = 2**62  # sums of counts below this stay in int64
DENSE = 8  # bins per distinct cost up to which a dense array replaces a binary search


def count_type(largest: int) -> Kind:
    """The dtype that holds sums of counts up to `largest`."""
    return np.int64 if largest < SAFE else object


@dataclass(frozen=True, slots=True)
class Table:
    """Distinct costs, ascending, [M], and the number of paths of each, [M]."""

    values: Integers
    counts: Counts

    def at(self, costs: Integers) -> Counts:
        """Number of paths at each of `costs` (any shape); 0 where there is none."""
        if not len(self.values):
            return np.zeros(costs.shape, dtype=self.counts.dtype)
        where = np.minimum(np.searchsorted(self.values, costs), len(self.values) - 1)
        return np.where(self.values[where] == costs, self.counts[where], 0)


@dataclass(frozen=True, slots=True)
class DenseTable:
    """Numbers of paths at costs 0, step, 2 step, ..., [M]."""

    step: int
    counts: Counts

    def at(self, costs: Integers) -> Counts:
        """Number of paths at each of `costs` (any shape); 0 where there is none."""
        if not len(self.counts):
            return np.zeros(costs.shape, dtype=self.counts.dtype)
        where, rest = (costs, 0) if self.step == 1 else np.divmod(costs, self.step)
        known = (where >= 0) & (where < len(self.counts)) & (rest == 0)
        return np.where(known, self.counts[np.where(known, where, 0)], 0)


@dataclass(frozen=True, slots=True)
class Window:
    """Numbers of paths in an interval of costs.

    Args:
        values: Distinct costs, ascending, [M]; None for 0, step, 2 step, ...
        step: Distance of the costs where `values` is None.
        totals: [M + 1], paths among the first 0, 1, ..., M costs.
        width: Number of integers in the interval; None for all from 0 on.
    """

    values: Integers | None
    step: int
    totals: Counts
    width: int | None

    def at(self, costs: Integers) -> Counts:
        """Number of paths with cost - width < their cost <= cost, for each of `costs` (any shape)."""
        return self._up_to(costs) if self.width is None else self._up_to(costs) - self._up_to(costs - self.width)

    def _up_to(self, costs: Integers) -> Counts:
        if self.values is None:
            known = np.clip(costs // self.step + 1, 0, len(self.totals) - 1)
        else:
            known = np.searchsorted(self.values, costs, side="right")
        return self.totals[known]


def window(table: Table | DenseTable, width: int | None) -> Window:
    """The paths of a table, to be counted by intervals."""
    if isinstance(table, Table):
        table = quick(table)
    totals = np.zeros(len(table.counts) + 1, dtype=table.counts.dtype)
    np.cumsum(table.counts, out=totals[1:])
    if isinstance(table, DenseTable):
        return Window(None, table.step, totals, width)
    return Window(table.values, 1, totals, width)


def collect(values: Integers, counts: Counts, high: int) -> Table:
    """The table of unordered (cost, count) pairs, without those above `high`."""
    inside = values <= high
    if not inside.all():
        values, counts = values[inside], counts[inside]
    if not len(values):
        return Table(values, counts)
    span = int(values.max()) + 1
    if counts.dtype != object and span <= DENSE * len(values):
        sums = np.zeros(span, dtype=np.int64)
        np.add.at(sums, values, counts)
        distinct = np.flatnonzero(sums)
        return Table(distinct, sums[distinct])
    order = np.argsort(values, kind="stable")
    values = values[order]
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    return Table(values[starts], np.add.reduceat(counts[order], starts))


def product(pairs: Sequence[tuple[Table, Table]], high: int) -> Table:
    """The table of all sums of two costs, one from each side of a pair, up to `high`."""
    pairs = [pair for pair in pairs if all(len(table.values) for table in pair)]
    if not pairs or high < 0:
        return Table(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    step = int(np.gcd.reduce([np.gcd.reduce(table.values) for pair in pairs for table in pair])) or 1
    span = min(high, max(int(a.values[-1] + b.values[-1]) for a, b in pairs)) // step + 1
    plain = all(table.counts.dtype != object for pair in pairs for table in pair)
    if not plain or span > DENSE * sum(len(a.values) * len(b.values) for a, b in pairs):
        values = np.concatenate([(a.values[:, None] + b.values).ravel() for a, b in pairs])
        return collect(values, np.concatenate([(a.counts[:, None] * b.counts).ravel() for a, b in pairs]), high)
    sums = np.zeros(span, dtype=np.int64)
    for pair in pairs:
        short, long = sorted(pair, key=lambda table: len(table.values))
        bins, room = long.values // step, (high - short.values) // step
        last = np.searchsorted(bins, room, side="right").tolist()
        for shift, count, end in zip((short.values // step).tolist(), short.counts.tolist(), last, strict=True):
            sums[bins[:end] + shift] += long.counts[:end] * count
    distinct = np.flatnonzero(sums)
    return Table(distinct * step, sums[distinct])


def quick(table: Table) -> Table | DenseTable:
    """The form of `table` in which `at` is fast."""
    step = int(np.gcd.reduce(table.values)) or 1
    if not len(table.values) or int(table.values[-1]) // step >= DENSE * len(table.values):
        return table
    return DenseTable(step, spread(table, step))


def spread(table: Table, step: int) -> Counts:
    """Counts at costs 0, step, 2 step, ... of a table whose costs are multiples of `step`."""
    bins = int(table.values[-1]) // step + 1 if len(table.values) else 0
    counts = np.zeros(bins, dtype=table.counts.dtype)
    counts[table.values // step] = table.counts
    return counts


def block_sums(a: Counts, b: Counts, block: int) -> list[int]:
    """Exact sums of a * b, [M], over consecutive blocks of `block` entries."""
    starts = np.arange(0, len(a), block)
    if not len(a):
        return []
    # b is cut into limbs so small that no sum of a block overflows int64.
    bits = 0 if a.dtype == object or b.dtype == object else 62 - (int(a.max()) * block).bit_length()
    if bits < 8:
        return [int(x) for x in np.add.reduceat(a.astype(object) * b.astype(object), starts)]
    out, shift, rest = [0] * len(starts), 0, b
    while shift == 0 or rest.any():
        limbs = np.add.reduceat(a * (rest & ((1 << bits) - 1)), starts).tolist()
        out = [total + (limb << shift) for total, limb in zip(out, limbs, strict=True)]
        rest, shift = rest >> bits, shift + bits
    return out


def draw_below(rng: np.random.Generator, bounds: Counts) -> Counts:
    """One exactly uniform integer in [0, bound) for each of `bounds`, [N]."""
    if bounds.dtype != object:
        return rng.integers(bounds)
    return np.array([_draw(rng, int(bound)) for bound in bounds] + [None], dtype=object)[:-1]


def _draw(rng: np.random.Generator, bound: int) -> int:
    size = -(-bound.bit_length() // 8)
    while True:
        value = int.from_bytes(rng.bytes(size), "little") >> (8 * size - bound.bit_length())
        if value < bound:
            return value
