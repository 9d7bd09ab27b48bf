from __future__ import annotations

import numpy as np
import pytest

from nas.search_spaces import ABSENT
from nas.search_spaces.trellis import Trellis
from tests.search_spaces.enumeration import members
from tests.search_spaces.mobilenet.test_space import fixed_depths
from tests.spaces import BASE, SPACES, space

Path = tuple[dict[int, int], int, int]


def paths(trellis: Trellis) -> list[Path]:
    """Genes, params and macs of every path, one after the other."""
    ways: list[tuple[int, Path]] = [(0, (dict(trellis.fixed), trellis.params, trellis.macs))]
    for layer in trellis.layers:
        on = []
        for state, (genes, params, macs) in ways:
            for edge in layer:
                if edge.source == state:
                    assert not genes.keys() & dict(edge.genes).keys(), "a gene was set twice"
                    on.append((edge.target, (genes | dict(edge.genes), params + edge.params, macs + edge.macs)))
        ways = on
    assert all(state == 0 for state, _ in ways)
    return [path for _, path in ways]


SMALL = space(
    type(BASE)(**{
        **{name: getattr(BASE, name) for name in BASE.__dataclass_fields__},
        "stages": (
            BASE.stages[0],
            type(BASE.stages[1])((12, 16), (1, 2), (3,), (3, 4), 2, "hswish", squeeze=True),
        ),
    })
)  # fmt: skip


@pytest.mark.parametrize("kind", ["small", "fixed depths", "fixed block"])
def test_the_paths_are_the_members_with_their_costs(kind: str) -> None:
    own = {"small": SMALL, "fixed depths": fixed_depths(), "fixed block": SPACES["fixed"]}[kind]
    found = {}
    for trellis in own.trellises():
        for genes, params, macs in paths(trellis):
            row = tuple(genes.get(d, ABSENT) for d in range(len(own.genes)))
            assert row not in found, "two paths build the same network"
            found[row] = (params, macs)
    rows = members(own)
    assert set(found) == set(map(tuple, rows.tolist()))
    costs = own.costs_of(rows)
    expected = np.stack([costs["params"], costs["macs"]], axis=1).tolist()
    assert [list(found[tuple(row)]) for row in rows.tolist()] == expected
