from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
import torch

from nas.evaluation.population.states import size_of
from nas.evaluation.population.traversal import Traversal
from nas.evaluation.population.trie import Node, Trie, build_trie
from nas.supernets.steps import State
from tests.evaluation.population.chains import ChainSupernet, members

LARGE = 2**30
X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def trie() -> Trie:
    supernet = ChainSupernet()
    return build_trie(supernet, members(supernet.space, 20))


class Recorded:
    """What a traversal ran, stored and handed to members."""

    def __init__(self, trie: Trie, *, budget: int = LARGE, cached: Mapping[Node, State] | None = None) -> None:
        self.runs, self.stored = Counter[Node](), dict[Node, State]()
        self.outputs = dict[int, State]()
        with torch.no_grad():
            Traversal(self._run, self._leaf, budget=budget)(trie, X, cached or {}, self.stored.__setitem__)

    def _run(self, node: Node, state: State) -> State:
        self.runs[node] += 1
        return node.step.measure(state)[0]

    def _leaf(self, node: Node, state: State) -> None:
        for member in node.members:
            assert member not in self.outputs
            self.outputs[member] = state


def alone(trie: Trie, member: int) -> State:
    state: State = X
    with torch.no_grad():
        for node in trie.paths[member]:
            state = node.step.measure(state)[0]
    return state


def same(state: State, other: State) -> bool:
    return isinstance(state, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(state, other)


def test_every_member_gets_what_it_gets_alone_and_every_node_runs_once(trie: Trie) -> None:
    recorded = Recorded(trie)
    assert set(recorded.runs) == set(trie.nodes())
    assert set(recorded.runs.values()) == {1}
    assert all(same(recorded.outputs[member], alone(trie, member)) for member in range(20))


def test_a_small_budget_runs_nodes_again_and_changes_nothing(trie: Trie) -> None:
    whole = Recorded(trie)
    state = max(size_of(state) for state in whole.stored.values())
    runs = list[int]()
    for budget in (0, state, 3 * state, LARGE):
        recorded = Recorded(trie, budget=budget)
        runs.append(sum(recorded.runs.values()))
        assert all(same(recorded.outputs[member], output) for member, output in whole.outputs.items())
    assert runs == sorted(runs, reverse=True)
    assert runs[0] > runs[1] > runs[-1] == len(list(trie.nodes()))
    assert runs[0] == sum(len(path) for path in trie.paths)


def test_what_is_before_a_cached_output_does_not_run(trie: Trie) -> None:
    whole = Recorded(trie)
    shared = [node for node in trie.nodes() if node.architectures > 1 and len(node.children) > 1]
    cached = {node: whole.stored[node] for node in shared[-1:]}
    recorded = Recorded(trie, cached=cached)
    assert all(node not in recorded.runs for node in cached)
    assert all(same(recorded.outputs[member], output) for member, output in whole.outputs.items())
    behind_all = {root: whole.stored[root] for root in trie.roots} | {
        child: whole.stored[child] for root in trie.roots for child in root.children.values()
    }
    assert not set(Recorded(trie, cached=behind_all).runs) & set(behind_all)


def test_stored_is_what_was_run(trie: Trie) -> None:
    whole = Recorded(trie)
    assert set(whole.stored) == set(whole.runs)
    cached = {root: whole.stored[root] for root in trie.roots}
    assert not set(Recorded(trie, cached=cached).stored) & set(cached)


def test_nothing_runs_for_stopped_members_alone(trie: Trie) -> None:
    for member in range(3, 20):
        trie.stop(member)
    recorded = Recorded(trie)
    assert set(recorded.outputs) == {0, 1, 2}
    assert set(recorded.runs) == {node for member in range(3) for node in trie.paths[member]}
