from __future__ import annotations

import pytest

from nas.search_spaces.graph import Graph, build
from nas.search_spaces.trellis import Edge, Trellis
from tests.search_spaces.test_trellis import SMALL, paths


def costs(graph: Graph) -> list[int]:
    """Costs of all paths, ascending, in the metric's own unit."""
    ways = [(0, 0)]
    for layer in graph.layers:
        ways = [(m.target, cost + m.cost) for state, cost in ways for m in layer if m.source == state]
    return sorted(graph.base + graph.step * cost for _, cost in ways)


@pytest.mark.parametrize("metric", ["params", "macs"])
def test_a_graph_has_the_trellises_paths_and_costs(metric: str) -> None:
    for trellis in SMALL.trellises():
        graph = build(trellis, metric)
        expected = sorted(path[1 if metric == "params" else 2] for path in paths(trellis))
        assert costs(graph) == expected
        assert (graph.base, graph.largest) == (expected[0], expected[-1])
        assert all(move.cost >= 0 for layer in graph.layers for move in layer)
        assert graph.after[0] == {0: len(expected)}
        assert graph.before[-1] == {0: len(expected)}
        assert costs(graph.free()) == [0] * len(expected)
        assert graph.ways(0, len(graph.layers)) == len(expected)


def test_per_state_figures_by_hand() -> None:
    layers = (
        (Edge(0, 0, (), 10, 0), Edge(0, 1, (), 4, 0), Edge(0, 2, (), 0, 0)),  # state 2 leads nowhere
        (Edge(0, 0, (), 2, 0), Edge(1, 0, (), 2, 0), Edge(1, 0, (), 14, 0), Edge(5, 0, (), 0, 0)),
    )
    graph = build(Trellis(layers, (), 100, 0), "params")
    assert (graph.base, graph.step) == (106, 6)
    assert [len(layer) for layer in graph.layers] == [2, 3]
    assert graph.nearest[1] == {0: 1, 1: 0}
    assert graph.after[1] == {0: 1, 1: 2}
    assert graph.before[1] == {0: 1, 1: 1}
    assert graph.farthest == 2
    assert [[move.edge for move in layer] for layer in graph.layers] == [[0, 1], [0, 1, 2]]


def test_cuts_are_narrow_and_far_apart() -> None:
    chain = Trellis(tuple(tuple(Edge(0, 0, ((d, i),), i, 0) for i in range(4)) for d in range(7)), (), 0, 0)
    assert build(chain, "params").cuts() == [0, 3, 6, 7]
    for trellis in SMALL.trellises():
        graph = build(trellis, "macs")
        cuts = graph.cuts()
        assert (cuts[0], cuts[-1]) == (0, len(graph.layers))
        assert cuts == sorted(set(cuts))
