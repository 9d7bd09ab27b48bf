from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UnknownName, UsageError
from nas.search_spaces import ABSENT, Gene
from nas.search_spaces.gene import Existence
from nas.testing.spaces import nested


def test_a_gene_exists_where_all_its_parents_do_with_the_right_choices() -> None:
    genes = nested().genes
    rows = np.array([
        [0, 2, 2, 1, 2],  # no operation: no kernel, whatever its choice says
        [1, 2, 2, 1, 2],  # a pool has a kernel, but no groups
        [2, 0, 2, 1, 2],  # a small kernel has no groups, and so there is no pair
        [2, 1, 2, 1, 2],
        [2, 2, 0, 1, 2],
        [2, 2, 1, 0, 2],
    ], dtype=np.int16)  # fmt: skip
    assert Existence(genes)(rows).tolist() == [
        [True, False, True, False, False],
        [True, True, True, False, False],
        [True, True, True, False, False],
        [True, True, True, True, True],
        [True, True, True, True, False],
        [True, True, True, True, False],
    ]


def test_one_gene_is_answered_by_its_parents_alone() -> None:
    existence = Existence(nested().genes)
    rows = np.array([[2, 1, ABSENT, ABSENT, ABSENT], [2, ABSENT, 2, 1, 2]], dtype=np.int16)
    assert existence.parents(3) == [0, 1]
    assert existence.of(3, rows).tolist() == [True, False]
    assert existence.of(0, rows).tolist() == [True, True]


def test_genes_are_values() -> None:
    gene = Gene("a", (1, 2), "width", {"b": (1,)})
    assert gene == Gene("a", (1, 2), "width", {"b": (1,)})
    assert len({gene, Gene("a", (1, 2), "width", {"b": (2,)})}) == 2


def test_conditions_that_cannot_be() -> None:
    a, b = Gene("depth", (1, 2), "depth"), Gene("b", (1, 2), "width")
    with pytest.raises(UsageError, match="2 genes have 1 different names"):
        Existence([a, a])
    with pytest.raises(UnknownName, match="Did you mean 'depth'"):
        Existence([a, Gene("c", (1, 2), "width", {"dept": (1,)})])
    with pytest.raises(UsageError, match="'c' depends on 'b', which must come before it"):
        Existence([Gene("c", (1, 2), "width", {"b": (1,)}), b])
    with pytest.raises(UsageError, match="'b' depends on 'b'"):
        Existence([Gene("b", (1, 2), "width", {"b": (1,)})])
    for values in ((), (3,)):
        with pytest.raises(UsageError, match=r"under depth in .*; take choices of \[1, 2\]"):
            Existence([a, Gene("c", (1, 2), "width", {"depth": values})])
