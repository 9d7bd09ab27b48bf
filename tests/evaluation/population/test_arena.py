from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluation.population.arena import Arena, Block
from nas.evaluation.population.states import size_of

CPU = torch.device("cpu")


def test_a_copy_has_the_values_strides_and_type_of_what_was_put() -> None:
    maps = torch.randn(2, 3, 5, 4).contiguous(memory_format=torch.channels_last)
    coarse = torch.randn(3, 7).bfloat16().T
    block = Arena(10_000, CPU).allocate(size_of((maps, coarse)), 2)
    assert block is not None
    assert block.put("maps", maps)
    assert block.put("coarse", coarse)
    for name, tensor in (("maps", maps), ("coarse", coarse)):
        copy = block[name]
        assert isinstance(copy, torch.Tensor)
        assert torch.equal(copy, tensor)
        assert copy.stride() == tensor.stride()
        assert copy.dtype == tensor.dtype
        assert copy.data_ptr() % 64 == 0
    assert "maps" in block
    assert "another" not in block


def test_a_tuple_comes_back_as_a_tuple_of_copies() -> None:
    state = torch.randn(3, 5), torch.arange(6).view(3, 2), torch.ones(3, dtype=torch.bool)
    block = Arena(10_000, CPU).allocate(2 * size_of(state), 6)
    assert block is not None
    assert block.put(0, state)
    assert block.put(1, (state[0],))
    originals = [tensor.clone() for tensor in state]
    state[0].zero_()
    for copy, original in zip(block[0], originals, strict=True):
        assert copy.dtype == original.dtype
        assert torch.equal(copy, original)
    assert isinstance(block[1], tuple)
    assert len(block[1]) == 1


def test_what_does_not_fit_is_not_put() -> None:
    block = Arena(256, CPU).allocate(64, 1)
    assert block is not None
    assert not block.put(0, (torch.zeros(16), torch.zeros(100)))
    assert block.put(1, torch.zeros(16))
    assert not block.put(2, torch.zeros(100))
    assert [name in block for name in range(3)] == [False, True, False]


def test_a_full_arena_allocates_nothing() -> None:
    assert Arena(0, CPU).allocate(1, 1) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2000)), max_size=60))
def test_blocks_never_overlap_and_all_memory_comes_back(moves: list[tuple[bool, int]]) -> None:
    capacity = 8192
    arena, blocks = Arena(capacity, CPU), list[Block]()
    allocated = list[tuple[int, int]]()
    for free, size in moves:
        if free and blocks:
            block = blocks.pop(size % len(blocks))
            allocated.remove((block.start, block.start + len(block.memory)))
            arena.free(block)
            continue
        fresh = arena.allocate(size, 1)
        if fresh is not None:
            start, end = fresh.start, fresh.start + len(fresh.memory)
            assert start >= 0
            assert end <= capacity
            assert end - start >= size
            assert all(end <= other or start >= other_end for other, other_end in allocated)
            allocated.append((start, end))
            blocks.append(fresh)
    for block in blocks:
        arena.free(block)
    whole = arena.allocate(capacity - 64, 1)
    assert whole is not None
    assert len(whole.memory) == capacity
