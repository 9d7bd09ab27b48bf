"""Costs of path ends as dense arrays, layer by layer: for tables too full to list their distinct values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas.search_spaces.graph import Graph, Move
from nas.search_spaces.segment import Tables
from nas.search_spaces.tables import Counts, DenseTable, count_type, spread

STRIP = 2**16  # bins that are filled together, so that they stay in the processor's cache


def dense_ends(
    graph: Graph, tables: Tables, boundary: int, wanted: Sequence[int], high: int
) -> dict[int, dict[int, DenseTable]]:
    """Tables of path ends at earlier boundaries.

    Args:
        graph: The graph.
        tables: Per state, the path ends at `boundary`.
        boundary: Where to start.
        wanted: Earlier boundaries, ascending.
        high: Costs of whole paths above this do not matter.

    Returns:
        For each wanted boundary, its tables by state.
    """
    first = wanted[0]
    step = math.gcd(*(m.cost for layer in graph.layers[first:] for m in layer)) or 1
    kind = count_type(max(graph.after[first].values()))
    arrays = {state: spread(table, step).astype(kind, copy=False) for state, table in tables.items()}
    found = {}
    for b in reversed(range(first, boundary)):
        room = {state: (high - spent) // step + 1 for state, spent in graph.nearest[b].items()}
        arrays = _previous(graph.layers[b], arrays, step, room)
        if b in wanted:
            found[b] = {state: DenseTable(step, counts) for state, counts in arrays.items()}
    return found


def _previous(layer: Sequence[Move], arrays: dict[int, Counts], step: int, room: dict[int, int]) -> dict[int, Counts]:
    """One layer further back; states with the same ways on share one array."""
    ways: dict[int, list[tuple[int, int]]] = {}
    for move in layer:
        if move.target in arrays and room[move.source] > 0:
            ways.setdefault(move.source, []).append((move.cost // step, move.target))
    alike: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for state, pairs in ways.items():
        alike.setdefault(tuple(sorted((shift, id(arrays[target])) for shift, target in pairs)), []).append(state)
    out: dict[int, Counts] = {}
    for states in alike.values():
        parts = [(shift, arrays[target]) for shift, target in ways[states[0]]]
        out |= dict.fromkeys(states, _sum(parts, max(room[state] for state in states)))
    return out


def _sum(parts: Sequence[tuple[int, Counts]], room: int) -> Counts:
    """Sum of shifted arrays, cut at `room` bins."""
    if len(parts) == 1 and parts[0][0] == 0:
        return parts[0][1][:room]
    size = min(room, max(shift + len(counts) for shift, counts in parts))
    out = np.zeros(max(size, 0), dtype=parts[0][1].dtype)
    for start in range(0, size, STRIP):
        stop = min(start + STRIP, size)
        for shift, counts in parts:
            low, high = max(start, shift), min(stop, shift + len(counts))
            if low < high:
                out[low:high] += counts[low - shift : high - shift]
    return out
