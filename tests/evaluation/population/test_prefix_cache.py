"""What is cached, decided on made-up outputs of real tries."""

from __future__ import annotations

import zlib

import pytest
import torch

from nas.evaluation.population.prefix_cache import WARM_UP, PrefixCache
from nas.evaluation.population.states import size_of, tensors_of
from nas.evaluation.population.trie import Node, Trie, build_trie
from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet
from nas.supernets.steps import State
from tests.evaluation.population.chains import FEATURES, ChainSupernet, members

CHUNKS, CALIBRATION = (5, 5, 4, 3), 2  # examples; the first two chunks calibrate
ROOMY = 2**20
STATE = 2 * 4 * FEATURES * sum(CHUNKS)  # bytes of one prefix: two tensors, all chunks
BLOCK = -(-STATE // 64) * 64 + 2 * len(CHUNKS) * 64  # with its alignment


@pytest.fixture(scope="module")
def supernet() -> ChainSupernet:
    return ChainSupernet()


@pytest.fixture(scope="module")
def archs(supernet: ChainSupernet) -> list[Architecture]:
    return members(supernet.space, WARM_UP + 60)


def cache_of(capacity: int = ROOMY) -> PrefixCache:
    return PrefixCache(capacity, CHUNKS, CALIBRATION, 4, torch.device("cpu"))


def output(node: Node, chunk: int) -> State:
    """A pair [B, F], the same for equal prefixes; the head's output is not one."""
    if not node.children:
        return torch.zeros(CHUNKS[chunk], 5)
    generator = torch.Generator().manual_seed(zlib.crc32(repr((node.prefix, chunk)).encode()))
    first, second = torch.randn(2, CHUNKS[chunk], FEATURES, generator=generator)
    return first, second


def evaluated(
    cache: PrefixCache, supernet: Supernet, archs: list[Architecture], *, chunks: int = len(CHUNKS)
) -> list[dict[Node, State]]:
    """A population through the cache, the first `chunks` of it; returns what each chunk found."""
    trie, found = build_trie(supernet, archs), list[dict[Node, State]]()
    cache.admit(trie)
    for chunk in range(chunks):
        hits = cache.lookup(trie, chunk)
        for node in trie.nodes():
            if node not in hits:
                cache.store(node, chunk, output(node, chunk))
        found.append(hits)
        if chunk == CALIBRATION - 1:
            calibrated(cache, trie, set(hits))
    return found


def calibrated(cache: PrefixCache, trie: Trie, hits: set[Node]) -> None:
    """Statistics of every node but the cached ones and what is before them."""
    for node in trie.nodes():
        if not any(hit in node.walk() for hit in hits):
            node.statistics = Statistics({"norm": (torch.tensor([float(node.macs)]), torch.ones(1))}, 10)
    cache.finish_calibration(trie)


def warm(cache: PrefixCache, supernet: Supernet, archs: list[Architecture]) -> None:
    evaluated(cache, supernet, archs[:WARM_UP])


def test_nothing_of_the_first_architectures_is_cached(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of()
    for start in (0, WARM_UP // 2):
        assert not any(evaluated(cache, supernet, archs[start : start + WARM_UP // 2]))
    assert not any(evaluated(cache, supernet, archs[:20])[:CALIBRATION])
    assert all(evaluated(cache, supernet, archs[:20]))


def test_tuples_come_back_as_they_were(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of()
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:20])
    for chunk, hits in enumerate(evaluated(cache, supernet, archs[:20])):
        assert len(hits) > 20
        for node, state in hits.items():
            expected = output(node, chunk)
            assert isinstance(state, tuple)
            assert all(torch.equal(a, b) for a, b in zip(state, tensors_of(expected), strict=True))


def test_a_population_that_shares_no_prefix_but_the_first_steps_finds_those(
    supernet: ChainSupernet, archs: list[Architecture]
) -> None:
    cache = cache_of()
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:20])
    hits = evaluated(cache, supernet, archs[-20:])
    known = {node.prefix for node in build_trie(supernet, archs[:20]).nodes()}
    assert all(node.prefix in known for chunk in hits for node in chunk)
    assert all(hits)


@pytest.mark.parametrize("entries", [0, 1, 3])
def test_the_capacity_holds(supernet: ChainSupernet, archs: list[Architecture], entries: int) -> None:
    """Also of steps that pass on more than they compute: the second tensor of a pair is none of theirs."""
    cache = cache_of(entries * BLOCK)
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:30])
    hits = evaluated(cache, supernet, archs[:30])
    assert all(len(chunk) == entries for chunk in hits)
    assert sum(size_of(state) for chunk in hits for state in chunk.values()) == entries * STATE


def test_one_place_goes_to_what_saves_most_work_of_most_architectures(
    supernet: ChainSupernet, archs: list[Architecture]
) -> None:
    cache = cache_of(BLOCK)
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:30])
    trie = build_trie(supernet, archs[:30])
    # Of the call before remains half, and every prefix costs as much.
    (hit,) = evaluated(cache, supernet, archs[:30])[0]
    best = max((node for node in trie.nodes() if node.children), key=lambda node: node.architectures * node.macs)
    assert hit.architectures * hit.macs == best.architectures * best.macs


def test_what_nobody_asks_for_any_more_makes_room(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of(4 * BLOCK)
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:20])
    for _ in range(6):
        hits = evaluated(cache, supernet, archs[-20:])
    now = {node.prefix for node in build_trie(supernet, archs[-20:]).nodes()}
    assert len(hits[0]) == 4
    assert all(node.prefix in now for node in hits[0])


def test_without_all_calibration_batches_nothing_is_used(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of()
    warm(cache, supernet, archs)
    trie = build_trie(supernet, archs[:20])
    cache.admit(trie)
    for node in trie.nodes():
        cache.store(node, 0, output(node, 0))
    calibrated(cache, trie, set())
    assert not any(evaluated(cache, supernet, archs[:20])[:CALIBRATION])


def test_chunks_that_racing_left_out_are_added_later(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of()
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:20], chunks=3)
    hits = evaluated(cache, supernet, archs[:20])
    assert all(hits[:3])
    assert not hits[3]
    assert all(evaluated(cache, supernet, archs[:20]))


def test_nodes_that_do_not_run_get_the_statistics_of_before(supernet: ChainSupernet, archs: list[Architecture]) -> None:
    cache = cache_of()
    warm(cache, supernet, archs)
    evaluated(cache, supernet, archs[:20])
    trie = build_trie(supernet, archs[:20])
    cache.admit(trie)
    hits = cache.lookup(trie, 0)
    calibrated(cache, trie, set(hits))
    for node in trie.nodes():
        assert node.statistics is not None
        assert float(node.statistics.layer("norm")[0]) == node.macs
