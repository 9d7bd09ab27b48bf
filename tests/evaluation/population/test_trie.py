from __future__ import annotations

import numpy as np
import pytest

from nas.evaluation.population.trie import ALL, EXACT, Sharing, build_trie, marginal_macs
from nas.search_spaces import Architecture
from nas.supernets import MobileNetSupernet, Supernet
from tests.evaluation.population.chains import ChainSupernet, members
from tests.spaces import SPACES


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return MobileNetSupernet(SPACES["learned"], seed=0)


@pytest.fixture(scope="module")
def archs(supernet: Supernet) -> list[Architecture]:
    return members(supernet.space, 30)


def identity(supernet: Supernet, arch: Architecture) -> list[tuple[object, int]]:
    return [(step.key, step.width) for step in supernet.steps(arch)]


def test_a_path_has_the_steps_of_its_architecture_and_ends_at_a_member(
    supernet: Supernet, archs: list[Architecture]
) -> None:
    trie = build_trie(supernet, archs)
    for member, (arch, path) in enumerate(zip(archs, trie.paths, strict=True)):
        assert [(node.step.key, node.step.width) for node in path] == identity(supernet, arch)
        assert path[-1].members == [member]
        assert path[-1].macs == sum(step.macs for step in supernet.steps(arch))


def test_there_is_one_node_for_each_different_prefix(supernet: Supernet, archs: list[Architecture]) -> None:
    steps = [identity(supernet, arch) for arch in archs]
    prefixes = [tuple(path[: i + 1]) for path in steps for i in range(len(path))]
    nodes = list(build_trie(supernet, archs).nodes())
    assert len(nodes) == len(set(prefixes)) < len(prefixes)
    assert len({node.prefix for node in nodes}) == len(nodes)
    assert sum(node.architectures for node in nodes) == len(prefixes)


def test_prefixes_are_the_same_in_another_population(supernet: Supernet, archs: list[Architecture]) -> None:
    one, other = build_trie(supernet, archs[:10]), build_trie(supernet, archs[5:])
    assert [node.prefix for node in one.paths[7]] == [node.prefix for node in other.paths[2]]


def test_parents_come_before_children(supernet: Supernet, archs: list[Architecture]) -> None:
    seen = set[object]()
    trie = build_trie(supernet, archs)
    for node in trie.nodes():
        assert not any(child.prefix in seen for child in node.children.values())
        seen.add(node.prefix)
    assert {node.prefix for path in trie.paths for node in path} == seen


def test_without_prefixes_nothing_is_shared(supernet: Supernet, archs: list[Architecture]) -> None:
    nodes = list(build_trie(supernet, archs, Sharing(prefixes=False)).nodes())
    assert len(nodes) == sum(len(supernet.steps(arch)) for arch in archs)
    assert all(node.architectures == 1 for node in nodes)


def test_with_widths_the_widest_serves_all(supernet: Supernet, archs: list[Architecture]) -> None:
    exact, shared = build_trie(supernet, archs, EXACT), build_trie(supernet, archs, ALL)
    assert len(list(shared.nodes())) < len(list(exact.nodes()))
    for arch, path in zip(archs, shared.paths, strict=True):
        for node, step in zip(path, supernet.steps(arch), strict=True):
            assert node.step.key == step.key
            assert node.step.width >= step.width


def test_a_stopped_member_leaves_active_what_others_need(supernet: Supernet, archs: list[Architecture]) -> None:
    trie = build_trie(supernet, archs)
    trie.stop(3)
    for node in trie.nodes():
        others = sum(node in path for member, path in enumerate(trie.paths) if member != 3)
        assert node.active == others
    assert trie.paths[3][-1].active == 0
    assert trie.paths[3][0].active > 0


def test_marginal_macs_are_those_of_new_prefixes(supernet: Supernet, archs: list[Architecture]) -> None:
    costs = marginal_macs(supernet, archs)
    assert costs[0] == sum(step.macs for step in supernet.steps(archs[0]))
    assert sum(costs) == sum(node.step.macs for node in build_trie(supernet, archs).nodes())
    assert marginal_macs(supernet, [archs[0], archs[0]])[1] == 0


def test_any_supernet_will_do() -> None:
    supernet = ChainSupernet()
    archs = supernet.space.architectures(supernet.space.sample_choices(np.random.default_rng(1), 5))
    trie = build_trie(supernet, archs)
    assert len(trie.roots) == 1
    assert trie.roots[0].architectures == 5
