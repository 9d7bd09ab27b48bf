from __future__ import annotations

import numpy as np

from nas.search_spaces.graph import Graph, build
from nas.search_spaces.segment import Segment, groups
from tests.search_spaces.test_trellis import SMALL


def walks(graph: Graph, start: int, stop: int) -> dict[tuple[int, int, int], list[tuple[int, ...]]]:
    """Edges of all ways by (first state, last state, cost)."""
    ways = [(s, s, 0, ()) for s in graph.after[start]]
    for layer in graph.layers[start:stop]:
        ways = [(a, m.target, c + m.cost, (*e, m.edge)) for a, b, c, e in ways for m in layer if m.source == b]  # type: ignore[misc]
    out: dict[tuple[int, int, int], list[tuple[int, ...]]] = {}
    for a, b, c, e in ways:
        out.setdefault((a, b, c), []).append(e)
    return out


def test_ways_and_draws_equal_a_list_of_all() -> None:
    graph = build(SMALL.trellises()[0], "macs")
    segment = Segment(graph, 1, 6, graph.farthest)
    known = walks(graph, 1, 6)
    counted = {
        (s, e, c): n
        for (s, e), t in segment.ways.items()
        for c, n in zip(t.values.tolist(), t.counts.tolist(), strict=True)
    }
    assert counted == {key: len(ways) for key, ways in known.items()}
    (start, end, cost), ways = max(known.items(), key=lambda item: len(item[1]))
    assert len(ways) > 1
    n = 400 * len(ways)
    drawn = segment.draw(*(np.full(n, x) for x in (start, end, cost)), np.random.default_rng(0))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    assert {tuple(row) for row in found.tolist()} == set(ways)
    assert (np.abs(counts - 400) < 100).all()
    onward, backward = segment.onward(start), segment.backward(end)
    assert onward.count.sum() == sum(len(w) for (s, _, _), w in known.items() if s == start)
    assert backward.count.sum() == sum(len(w) for (_, e, _), w in known.items() if e == end)


def test_costs_above_the_highest_are_dropped() -> None:
    graph = build(SMALL.trellises()[0], "params")
    high = graph.farthest // 3
    tables = Segment(graph, 0, len(graph.layers), high).ways
    assert tables[0, 0].counts.sum() == sum(
        len(w) for (_, _, c), w in walks(graph, 0, len(graph.layers)).items() if c <= high
    )


def test_groups_partition_the_rows() -> None:
    keys = np.array([3, 1, 3, 2])
    assert [(k, rows.tolist()) for k, rows in groups(keys)] == [(1, [1]), (2, [3]), (3, [0, 2])]
    assert [(k, rows.tolist()) for k, rows in groups(keys, keys != 3)] == [(1, [1]), (2, [3])]
