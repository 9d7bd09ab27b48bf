"""Exact counts and uniform draws of the paths of one graph whose cost lies in an interval.

The graph is cut into segments. From the left, costs of path beginnings are tables of distinct values as long as these
stay small; so are those of path ends from the right. Segments left over in the middle are added to the ends layer by
layer in dense arrays. Where beginnings and ends meet, a sum over the beginnings of running totals of the ends counts
everything inside the interval. A draw picks a beginning's cost there, walks back at exactly that cost, and walks on
inside what is left of the interval; the dense arrays at the meeting point are not needed for it and not kept.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces.dense import dense_ends
from nas.search_spaces.graph import Graph, States
from nas.search_spaces.segment import AnyTables, Segment, Tables, groups
from nas.search_spaces.tables import (
    SAFE,
    DenseTable,
    Integers,
    Table,
    Window,
    block_sums,
    count_type,
    draw_below,
    product,
    quick,
    window,
)

PAIRS = 16_000_000  # sums of two costs up to which a table of distinct values is made
Windows = dict[int, Window]  # per state
BLOCK = 1024  # beginnings that share a subtotal


class PathCounter:
    """The paths with low <= cost <= high, costs as the graph has them.

    Args:
        graph: The graph.
        low: Lowest cost.
        high: Highest cost, at least 0.
    """

    def __init__(self, graph: Graph, low: int, high: int) -> None:
        if low <= 0 and high >= graph.farthest:
            graph, low, high = graph.free(), 0, 0
        self._graph, self._low, self._high = graph, low, high
        self._cuts = graph.cuts()
        spans = list(itertools.pairwise(self._cuts))
        self._segments = [Segment(graph, start, stop, high) for start, stop in spans]
        beginnings = self._beginnings()
        self._meeting = len(beginnings) - 1
        self._before: list[AnyTables] = [{s: quick(t) for s, t in tables.items()} for tables in beginnings[:-1]]
        self._after: dict[int, Windows] = {}  # per cut behind the meeting point
        ends = self._endings()
        self._starts = {s: t for s, t in sorted(beginnings[-1].items()) if s in ends}
        # For each beginning, how many ends fit.
        self._partners = {s: ends[s].at(high - table.values) for s, table in self._starts.items()}
        self._blocks = [
            (state, at * BLOCK, total)
            for state, table in self._starts.items()
            for at, total in enumerate(block_sums(table.counts, self._partners[state], BLOCK))
        ]

    def _beginnings(self) -> list[Tables]:
        """Tables of path beginnings at the first cuts."""
        out: list[Tables] = [{0: _nothing(1)}]
        for segment, cut in zip(self._segments, self._cuts[1:], strict=True):
            fits = max(self._graph.before[cut].values()) < SAFE
            if not fits or self._pairs(segment, out[-1], forward=True) > PAIRS:
                break
            out.append(self._extended(segment, out[-1], {}, forward=True))
        return out

    def _endings(self) -> Windows:
        """Path ends per state at the meeting point; fills `_after` on the way."""
        cut, last = self._cuts, len(self._segments)
        kind = count_type(max(self._graph.after[cut[self._meeting]].values()))
        tables: Tables = {0: Table(np.zeros(1, np.int64), np.ones(1, kind))}
        while last > self._meeting and self._pairs(self._segments[last - 1], tables, forward=False) <= PAIRS:
            self._after[last] = self._windows(tables)
            last -= 1
            tables = self._extended(self._segments[last], tables, self._graph.nearest[cut[last]], forward=False)
        if last == self._meeting:
            return self._windows(tables)
        self._after[last] = self._windows(tables)
        wanted = cut[self._meeting : last]
        dense = dense_ends(self._graph, tables, cut[last], wanted, self._high)
        for at, boundary in enumerate(wanted[1:], start=self._meeting + 1):
            self._after[at] = self._windows(dense[boundary])
        return self._windows(dense[wanted[0]])

    def _windows(self, tables: Mapping[int, Table | DenseTable]) -> Windows:
        width = None if self._low <= 0 else self._high - self._low + 1
        return {state: window(table, width) for state, table in tables.items()}

    def _pairs(self, segment: Segment, tables: Tables, *, forward: bool) -> int:
        """Most sums of two costs that extending one state's table by `segment` looks at."""
        sums: States = {}
        for (start, end), ways in segment.ways.items():
            known, new = (start, end) if forward else (end, start)
            if known in tables:
                sums[new] = sums.get(new, 0) + len(tables[known].values) * len(ways.values)
        return max(sums.values(), default=0)

    def _extended(self, segment: Segment, tables: Tables, spent: States, *, forward: bool) -> Tables:
        """Tables on the other side of `segment`; `spent`: least cost of the part that the tables do not cover."""
        parts: dict[int, list[tuple[Table, Table]]] = {}
        for (start, end), ways in segment.ways.items():
            known, new = (start, end) if forward else (end, start)
            if known in tables:
                parts.setdefault(new, []).append((tables[known], ways))
        return {state: product(pairs, self._high - spent.get(state, 0)) for state, pairs in sorted(parts.items())}

    @cached_property
    def count(self) -> int:
        """The exact number of paths."""
        return sum(total for _, _, total in self._blocks)

    @cached_property
    def _subtotals(self) -> list[int]:
        return list(itertools.accumulate(total for _, _, total in self._blocks))

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int32]:
        """[n, layers] edges of uniform paths; at least one path must exist."""
        state, costs = self._draw_meetings(rng, n)
        parts = [*self._walk_back(state, costs, rng)[::-1], *self._walk_on(state, self._high - costs, rng)]
        return np.concatenate(parts, axis=1)

    def _draw_meetings(self, rng: np.random.Generator, n: int) -> tuple[Integers, Integers]:
        """[n] states at the meeting point and costs of the beginnings, in proportion to the paths through them."""
        ranks = draw_below(rng, np.full(n, self.count, dtype=count_type(self.count))).tolist()
        where = np.array([bisect.bisect_right(self._subtotals, rank) for rank in ranks], dtype=np.int64)
        states, costs = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        for block, rows in groups(where):
            state, start, total = self._blocks[block]
            table, part = self._starts[state], slice(start, start + BLOCK)
            weights = table.counts[part].astype(object) * self._partners[state][part].astype(object)
            inside = list(itertools.accumulate(weights.tolist()))
            first = self._subtotals[block] - total
            states[rows] = state
            costs[rows] = table.values[[start + bisect.bisect_right(inside, ranks[i] - first) for i in rows.tolist()]]
        return states, costs

    def _walk_back(self, state: Integers, costs: Integers, rng: np.random.Generator) -> list[NDArray[np.int32]]:
        """Edges of uniform beginnings of these costs, the last segment first."""
        parts = []
        for at in reversed(range(self._meeting)):
            previous, spent = np.zeros_like(state), costs.copy()  # the only way to begin with nothing before it
            for here, rows in groups(state) if at else ():
                ways = self._segments[at].backward(here)
                picked = ways.draw(self._before[at], costs[rows], np.int64, rng)
                previous[rows], spent[rows] = ways.state[picked], ways.cost[picked]
            parts.append(self._segments[at].draw(previous, state, spent, rng))
            state, costs = previous, costs - spent
        return parts

    def _walk_on(self, state: Integers, room: Integers, rng: np.random.Generator) -> list[NDArray[np.int32]]:
        """Edges of uniform ends that fit into what is left of the highest cost, the first segment first."""
        parts = []
        for at in range(self._meeting, len(self._segments)):
            kind = count_type(max(self._graph.after[self._cuts[at]].values()))
            following, spent = np.empty_like(state), np.empty_like(room)
            for here, rows in groups(state):
                ways = self._segments[at].onward(here)
                picked = ways.draw(self._after[at + 1], room[rows], kind, rng)
                following[rows], spent[rows] = ways.state[picked], ways.cost[picked]
            parts.append(self._segments[at].draw(state, following, spent, rng))
            state, room = following, room - spent
        return parts


def _nothing(count: int) -> Table:
    return Table(np.zeros(1, np.int64), np.full(1, count))
