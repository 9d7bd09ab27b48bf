from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UnknownName, UsageError
from nas.search_spaces import CostTerm, Gene, tabulated
from nas.search_spaces.cost_terms import ROWS, CostSum
from nas.testing.spaces import MadeSpace, members, nested

GENES = (Gene("a", (1, 2, 3), "width"), Gene("b", ("x", "y"), "operation", {"a": (2, 3)}))


def test_a_tabulated_term_asks_for_every_combination_of_values() -> None:
    term = tabulated(GENES, lambda chosen: (int(chosen["a"]), 10 * (chosen["b"] == "y")))
    assert term.genes == ("a", "b")
    assert term.table.shape == (4, 3, 2)
    assert term.table[1].tolist() == [[2, 0], [2, 10], [0, 0]]  # the last is for "b does not exist"
    assert not term.table[-1].any()


def test_the_sum_of_terms_one_after_the_other() -> None:
    space = nested()
    rows = members(space)
    expected = np.zeros((len(rows), 2), dtype=np.int64)
    for term in space.cost_terms:
        columns = [space.names.index(name) for name in term.genes]
        for total, row in zip(expected, rows, strict=True):
            total += term.table[tuple(row[columns])]
    many = np.tile(rows, (ROWS // len(rows) + 2, 1))  # more than are looked up at once
    for at, metric in enumerate(("params", "macs")):
        values = space.costs_of(many)[metric]
        assert values.dtype == np.int64
        assert values.tolist() == np.tile(expected[:, at], len(many) // len(rows)).tolist()


def test_costs_beyond_the_precision_of_floats_are_exact() -> None:
    big = 2**53 + 1
    space = MadeSpace(GENES[:1], [tabulated(GENES[:1], lambda chosen: (big, big + int(chosen["a"])))])
    assert space.cost(space.largest()) == (big, big + 3)


def test_nothing_and_no_terms_cost_nothing() -> None:
    assert [len(column) for column in nested().costs_of(np.zeros((0, 5), np.int16)).values()] == [0, 0]
    assert MadeSpace(GENES).cost(MadeSpace(GENES).largest()) == (0, 0)
    assert MadeSpace([]).cost(MadeSpace([]).largest()) == (0, 0)


def test_terms_that_do_not_fit_the_genes() -> None:
    with pytest.raises(UnknownName, match="gene in a cost term 'c'"):
        CostSum(GENES, [CostTerm(("c",), np.zeros((4, 2), np.int64))])
    for table in (np.zeros((3, 2), np.int64), np.zeros((4, 2)), np.zeros((4, 3), np.int64)):
        with pytest.raises(UsageError, match=r"the cost term over \['a'\] .* must be int64 \[4, 2\]"):
            CostSum(GENES, [CostTerm(("a",), table)])
