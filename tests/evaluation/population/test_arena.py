from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluation.population.arena import Shelf, Shelves

CPU = torch.device("cpu")


def test_a_copy_has_the_values_strides_and_type_of_what_was_put() -> None:
    maps = torch.randn(2, 3, 5, 4).contiguous(memory_format=torch.channels_last)
    coarse = torch.randn(3, 7).bfloat16().T
    shelf = Shelves(10_000, CPU).take(maps.numel() * 4 + coarse.numel() * 2, 2)
    assert shelf is not None
    assert shelf.put("maps", maps)
    assert shelf.put("coarse", coarse)
    for name, tensor in (("maps", maps), ("coarse", coarse)):
        assert torch.equal(shelf[name], tensor)
        assert shelf[name].stride() == tensor.stride()
        assert shelf[name].dtype == tensor.dtype
        assert shelf[name].data_ptr() % 64 == 0
    assert "maps" in shelf
    assert "another" not in shelf


def test_what_does_not_fit_is_not_put() -> None:
    shelf = Shelves(256, CPU).take(64, 1)
    assert shelf is not None
    assert shelf.put(0, torch.zeros(16))
    assert not shelf.put(1, torch.zeros(100))
    assert 0 in shelf
    assert 1 not in shelf


def test_without_room_there_is_no_shelf() -> None:
    assert Shelves(0, CPU).take(1, 1) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2000)), max_size=60))
def test_shelves_never_overlap_and_all_room_comes_back(moves: list[tuple[bool, int]]) -> None:
    capacity = 8192
    shelves, out = Shelves(capacity, CPU), list[Shelf]()
    taken = list[tuple[int, int]]()
    for give_back, size in moves:
        if give_back and out:
            shelf = out.pop(size % len(out))
            taken.remove((shelf.start, shelf.start + len(shelf.memory)))
            shelves.give_back(shelf)
            continue
        found = shelves.take(size, 1)
        if found is not None:
            start, end = found.start, found.start + len(found.memory)
            assert start >= 0
            assert end <= capacity
            assert end - start >= size
            assert all(end <= other or start >= other_end for other, other_end in taken)
            taken.append((start, end))
            out.append(found)
    for shelf in out:
        shelves.give_back(shelf)
    whole = shelves.take(capacity - 64, 1)
    assert whole is not None
    assert len(whole.memory) == capacity
