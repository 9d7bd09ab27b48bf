from __future__ import annotations

import itertools

import numpy as np
import pytest

from nas.errors import UsageError
from nas.search_spaces import ABSENT, CostTerm, Gene, SearchSpace, get
from nas.search_spaces.decision_diagram import DecisionDiagram, elimination_order, remaining
from nas.task import ImageClassification
from nas.testing.spaces import MadeSpace, members, nested
from tests.search_spaces.mobilenet.test_space import fixed_depths
from tests.spaces import SPACES

SMALL: dict[str, SearchSpace] = {"nested": nested(), "fixed depths": fixed_depths(), "fixed block": SPACES["fixed"]}


def paths(diagram: DecisionDiagram) -> dict[tuple[int, ...], tuple[int, int]]:
    """Row and costs of every path, one after the other."""
    ways = [(0, (ABSENT,) * diagram.dimensions, tuple(diagram.base.tolist()))]
    for layer in diagram.layers:
        on = []
        for state, row, cost in ways:
            for e in np.flatnonzero(layer.source == state).tolist():
                longer = list(row)
                for gene, choice in zip(layer.genes, layer.choices[e].tolist(), strict=True):
                    longer[gene] = choice
                total = tuple(a + b for a, b in zip(cost, layer.costs[e].tolist(), strict=True))
                on.append((int(layer.target[e]), tuple(longer), total))
        ways = on
    assert all(state == 0 for state, _, _ in ways)
    assert len({row for _, row, _ in ways}) == len(ways), "two paths build the same network"
    return {row: cost for _, row, cost in ways}


@pytest.mark.parametrize("kind", SMALL)
def test_the_paths_are_the_members_with_their_costs(kind: str) -> None:
    space = SMALL[kind]
    found, rows = paths(DecisionDiagram(space.genes, space.cost_terms)), members(space)
    costs = space.costs_of(rows)
    expected = zip(costs["params"].tolist(), costs["macs"].tolist(), strict=True)
    assert found == dict(zip(map(tuple, rows.tolist()), expected, strict=True))
    assert set(paths(DecisionDiagram(space.genes))) == set(found)


@pytest.mark.parametrize("kind", SMALL)
def test_paths_and_reach_are_exact(kind: str) -> None:
    space, rows = SMALL[kind], members(SMALL[kind])
    diagram = DecisionDiagram(space.genes, space.cost_terms)
    assert diagram.paths == DecisionDiagram(space.genes).paths == len(rows)
    for metric, values in space.costs_of(rows).items():
        assert diagram.reach(metric) == (values.min(), values.max())


def test_what_remains_is_the_best_way_on() -> None:
    space = nested()
    diagram = DecisionDiagram(space.genes, space.cost_terms)
    costs = [layer.costs[:, 0] for layer in diagram.layers]
    least, most = (remaining(diagram.layers, costs, pick) for pick in (np.minimum, np.maximum))
    assert [len(each) for each in least] == [layer.states for layer in diagram.layers] + [1]
    for layer, cost, before, after in zip(diagram.layers, costs, least, least[1:], strict=False):
        for state in range(layer.states):
            edges = layer.source == state
            assert before[state] == (cost + after[layer.target])[edges].min()
    assert all((low <= high).all() for low, high in zip(least, most, strict=True))


def test_numbers_of_paths_have_no_largest() -> None:
    genes = [Gene(f"x{d}", (0, 1), "bit") for d in range(300)]
    assert DecisionDiagram(genes).paths == 2**300


def test_without_genes_there_is_one_path() -> None:
    only = DecisionDiagram([], [CostTerm((), np.array([3, 4]))])
    assert (only.paths, only.reach("params"), only.reach("macs")) == (1, (3, 3), (4, 4))


def test_a_big_space_has_few_states() -> None:
    space = get("mobilenet", task=ImageClassification(224, 3, 1000), preset="bignas")
    diagram = DecisionDiagram(space.genes, space.cost_terms)
    assert diagram.paths == space.size == 4 * 2**5 * (9**2 + 9**3 + 9**4) ** 5
    # Resolution, width and depth, and nothing else, are remembered at once.
    assert max(layer.states for layer in diagram.layers) == 4 * 2 * 3


def test_genes_listed_by_kind_are_still_decided_layer_by_layer() -> None:
    """A chain of ten: listed as all a, then all b, where each b is shared by its own a and the next."""
    size, count = 3, 10
    scopes = [{i, count + i} for i in range(count)] + [{i, count + i - 1} for i in range(1, count)]
    order = elimination_order([size] * 2 * count, scopes, [()] * 2 * count)
    assert sorted(order) == list(range(2 * count))
    at = {v: i for i, v in enumerate(order)}
    last = [max(at[u] for scope in scopes if v in scope for u in scope) for v in range(2 * count)]
    assert max(sum(at[v] <= i < last[v] for v in at) for i in range(len(order))) <= 2


def test_parents_are_decided_first() -> None:
    genes = nested().genes
    parents = [(), (0,), (), (0, 1), (2, 3)]
    for scopes in ([], [{4, 0}], [{1, 2}, {3, 2}]):
        needs = [{d, *above} for d, above in enumerate(parents)]
        order = elimination_order([len(g.choices) + 1 for g in genes], [*scopes, *needs], parents)
        assert all(order.index(above) < order.index(d) for d, all_ in enumerate(parents) for above in all_)


def test_terms_over_too_many_genes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.search_spaces.decision_diagram.MOST_EDGES", 1000)
    genes = [Gene(f"x{d}", (0, 1), "bit") for d in range(12)]
    terms = [CostTerm((a.name, b.name), np.ones((3, 3, 2), np.int64)) for a, b in itertools.combinations(genes, 2)]
    with pytest.raises(UsageError, match="couple too many genes"):
        MadeSpace(genes, terms).cost_range("macs")
