from __future__ import annotations

import numpy as np
import pytest

from nas.search_spaces.counting import PathCounter
from nas.search_spaces.graph import build
from tests.search_spaces.test_segment import walks
from tests.search_spaces.test_trellis import SMALL


@pytest.mark.parametrize("pairs", [1, 16_000_000])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.5), (0.3, 0.7), (0.8, 1.0), (0.0, 0.0)])
def test_counts_and_draws_equal_a_list_of_all(
    low: float, high: float, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.search_spaces.counting.PAIRS", pairs)
    graph = build(SMALL.trellises()[0], "macs")
    bounds = [int(part * graph.farthest) for part in (low, high)]
    every = walks(graph, 0, len(graph.layers))
    inside = {path for (_, _, cost), ways in every.items() if bounds[0] <= cost <= bounds[1] for path in ways}
    counter = PathCounter(graph, *bounds)
    assert counter.count == len(inside)
    drawn = counter.sample(np.random.default_rng(0), 500)
    assert {tuple(path) for path in drawn.tolist()} <= inside
    assert len(np.unique(drawn, axis=0)) > min(len(inside), 500) * 0.3
