"""A few consecutive layers of a graph: how many ways lead through them at which cost, and drawing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces.graph import Graph, Move
from nas.search_spaces.tables import Counts, DenseTable, Integers, Kind, Table, Window, collect, count_type, draw_below

CHUNK = 2**20  # weights that are looked at together
Tables = dict[int, Table]  # per state
AnyTables = Mapping[int, Table | DenseTable | Window]


@dataclass(frozen=True, slots=True)
class Options:
    """Ways on from one state: [E] states they lead to, costs, numbers of paths, and labels."""

    state: Integers
    cost: Integers
    count: Counts
    label: Integers

    def draw(self, rest: AnyTables, costs: Integers, count: Kind, rng: np.random.Generator) -> Integers:
        """[N]: for each of `costs`, [N], one option, in proportion to the whole ways that cost this.

        Args:
            rest: Per state, how many ways of which cost follow.
            costs: What option and rest must cost together, or at most where rests are windows; some way does.
            count: The type that holds the number of all ways.
            rng: Source of the draws.
        """
        out = np.empty(len(costs), dtype=np.int64)
        size = max(1, CHUNK // len(self.cost))
        for start in range(0, len(costs), size):
            weights = self._weights(rest, costs[start : start + size], count)
            totals = weights.cumsum(axis=1)
            ranks = draw_below(rng, totals[:, -1])
            out[start : start + size] = (totals <= ranks[:, None]).sum(axis=1)
        return out

    def _weights(self, rest: AnyTables, costs: Integers, count: Kind) -> Counts:
        weights = np.zeros((len(costs), len(self.cost)), dtype=count)
        for state in np.unique(self.state).tolist():
            columns = np.flatnonzero(self.state == state)
            if state in rest:
                ways = rest[state].at(costs[:, None] - self.cost[columns])
                weights[:, columns] = ways.astype(count, copy=False) * self.count[columns]
        return weights


def options(moves: Sequence[Move], count: Kind) -> dict[int, Options]:
    """Per source, its moves as options; labels are positions of edges."""
    found: dict[int, list[Move]] = {}
    for move in moves:
        found.setdefault(move.source, []).append(move)
    out = {}
    for state, group in found.items():
        _, target, cost, edge = np.array(group, dtype=np.int64).T
        out[state] = Options(target, cost, np.ones(len(group), dtype=count), edge)
    return out


class Segment:
    """The layers between two cuts.

    Args:
        graph: The graph.
        start: The first boundary.
        stop: The last.
        high: Costs above this do not matter.
    """

    def __init__(self, graph: Graph, start: int, stop: int, high: int) -> None:
        self._count = count_type(graph.ways(start, stop))
        self._layers = [options(layer, self._count) for layer in graph.layers[start:stop]]
        self._inner = {end: self._tables(end, high) for end in sorted(graph.after[stop])}
        # Ways through by (state at the start, state at the end).
        self.ways = {(s, e): table for e, tables in self._inner.items() for s, table in tables[0].items()}

    def _tables(self, end: int, high: int) -> list[Tables]:
        """Per boundary and state, costs from there to state `end` at the last boundary."""
        tables: list[Tables] = [{end: Table(np.zeros(1, np.int64), np.ones(1, self._count))}]
        for layer in reversed(self._layers):
            rest, found = tables[-1], Tables()
            for state, ways in layer.items():
                steps = zip(ways.state.tolist(), ways.cost.tolist(), strict=True)
                parts = [(rest[target], cost) for target, cost in steps if target in rest]
                if parts:
                    values = np.concatenate([table.values + cost for table, cost in parts])
                    found[state] = collect(values, np.concatenate([table.counts for table, _ in parts]), high)
            tables.append(found)
        return tables[::-1]

    def onward(self, start: int) -> Options:
        """Ways through from state `start`; they lead to states at the end."""
        return self._options({e: table for (s, e), table in self.ways.items() if s == start})

    def backward(self, end: int) -> Options:
        """Ways through to state `end`, seen from there: they lead to states at the start."""
        return self._options({s: table for (s, e), table in self.ways.items() if e == end})

    def _options(self, tables: Tables) -> Options:
        state = np.repeat(np.array(list(tables), dtype=np.int64), [len(t.values) for t in tables.values()])
        cost = np.concatenate([table.values for table in tables.values()])
        return Options(state, cost, np.concatenate([table.counts for table in tables.values()]), cost)

    def draw(self, start: Integers, end: Integers, costs: Integers, rng: np.random.Generator) -> NDArray[np.int32]:
        """[N, layers] edges of uniform ways from `start` to `end` of exactly these costs, [N] each."""
        edges = np.empty((len(costs), len(self._layers)), dtype=np.int32)
        state, costs = start.copy(), costs.copy()
        for last in np.unique(end).tolist():
            for at, layer in enumerate(self._layers):
                for here, rows in groups(state, end == last):
                    ways = layer[here]
                    picked = ways.draw(self._inner[last][at + 1], costs[rows], self._count, rng)
                    edges[rows, at] = ways.label[picked]
                    costs[rows] -= ways.cost[picked]
                    state[rows] = ways.state[picked]
        return edges


def groups(keys: Integers, among: NDArray[np.bool_] | None = None) -> list[tuple[int, Integers]]:
    """(key, rows that hold it) in ascending order of the keys."""
    rows = np.arange(len(keys)) if among is None else np.flatnonzero(among)
    return [(key, rows[keys[rows] == key]) for key in np.unique(keys[rows]).tolist()]
