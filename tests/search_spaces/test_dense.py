from __future__ import annotations

import numpy as np
import pytest

from nas.search_spaces.dense import dense_ends
from nas.search_spaces.graph import build
from nas.search_spaces.tables import Table
from tests.search_spaces.test_segment import walks
from tests.search_spaces.test_trellis import SMALL


@pytest.mark.parametrize("strip", [1000, 7])
@pytest.mark.parametrize("part", [1.0, 0.4])
def test_ends_equal_a_list_of_all(strip: int, part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.search_spaces.dense.STRIP", strip)
    graph = build(SMALL.trellises()[1], "params")
    last, high = len(graph.layers), int(part * graph.farthest)
    end = {0: Table(np.zeros(1, np.int64), np.ones(1, np.int64))}
    found = dense_ends(graph, end, last, [1, 4, 5], high)
    assert sorted(found) == [1, 4, 5]
    for boundary, tables in found.items():
        for (state, _, cost), ways in walks(graph, boundary, last).items():
            if graph.nearest[boundary][state] + cost <= high:
                assert tables[state].at(np.array([cost])).tolist() == [len(ways)]
