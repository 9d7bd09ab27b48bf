from __future__ import annotations

import numpy as np

from nas.supernets.rules.samplers import ElasticChoices, LargestNetwork, RandomNetworks, Sandwich
from tests.spaces import SPACES

SPACE = SPACES["learned"]


def test_sandwich_order() -> None:
    members = Sandwich(middle=2)(SPACE, np.random.default_rng(0))
    assert [member.role for member in members] == ["largest", "random", "random", "smallest"]
    assert members[0].arch == SPACE.largest()
    assert members[-1].arch == SPACE.smallest()
    assert all(member.arch in SPACE for member in members)


def test_random_networks_share_a_resolution_and_follow_the_generator() -> None:
    draws = [RandomNetworks(4)(SPACE, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len({member.arch["resolution"] for member in members}) == 1 for members in draws)
    assert {members[0].arch["resolution"] for members in draws} == {6, 8}
    assert RandomNetworks(4)(SPACE, np.random.default_rng(3)) == draws[3]


def test_elastic_choices_are_uniform_and_others_never_drawn() -> None:
    elastic = ElasticChoices(kernel=2, depth=2)
    sampler = RandomNetworks(1, elastic)
    drawn = [sampler(SPACE, np.random.default_rng(seed))[0].arch for seed in range(400)]
    assert {arch["stage1.width"] for arch in drawn} == {16}
    assert {arch["stage1.block0.expansion"] for arch in drawn} == {4}
    depths = [arch["stage1.depth"] for arch in drawn]
    assert set(depths) == {2, 3}
    assert 150 < depths.count(2) < 250
    assert {arch["stage1.block0.kernel"] for arch in drawn} == {5, 7}
    assert all(arch in SPACE for arch in drawn)


def test_largest_network() -> None:
    rng = np.random.default_rng(0)
    assert LargestNetwork()(SPACE, rng)[0].arch == SPACE.largest()
    anywhere = {LargestNetwork(any_resolution=True)(SPACE, rng)[0].arch["resolution"] for _ in range(30)}
    assert anywhere == {6, 8}
