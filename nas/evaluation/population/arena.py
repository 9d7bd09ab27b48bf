"""Memory outside the heap for what is kept for long.

What stays among short-lived tensors splits the heap: a few bytes that stay make megabytes beside them useless to larger
tensors. And memory that the system hands out anew costs several times what filling it costs, so none is given back.
"""

from __future__ import annotations

import mmap
from collections.abc import Hashable
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nas.errors import UsageError

_ALIGNED = 64  # bytes, for vector instructions


@final
class Shelf:
    """Copies of some tensors, side by side.

    Args:
        memory: Bytes [N].
        start: Where it is among the others.
    """

    def __init__(self, memory: Tensor, start: int = 0) -> None:
        self.memory, self.start, self._used = memory, start, 0
        self._places: dict[Hashable, tuple[int, torch.Size, tuple[int, ...], torch.dtype]] = {}

    def __contains__(self, name: Hashable) -> bool:
        return name in self._places

    def put(self, name: Hashable, tensor: Tensor) -> bool:
        """Copy a dense tensor of any shape without gradient; False where it does not fit."""
        size = tensor.numel() * tensor.element_size()
        if self._used + size > len(self.memory):
            return False
        strides = torch.empty_like(tensor, device="meta").stride()
        place = self._used, tensor.shape, strides, tensor.dtype
        self._at(*place).copy_(tensor)
        self._places[name] = place  # last, so that nothing interrupted is found
        self._used += -(-size // _ALIGNED) * _ALIGNED
        return True

    def __getitem__(self, name: Hashable) -> Tensor:
        """The copy, with the strides of what was put there; not to be written to."""
        return self._at(*self._places[name])

    def _at(self, start: int, shape: torch.Size, strides: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = shape.numel() * dtype.itemsize
        return self.memory[start : start + size].view(dtype).as_strided(shape, strides)


@final
class Shelves:
    """One stretch of memory, and where in it shelves are.

    Args:
        capacity: Bytes; what no shelf ever took is not there yet.
        device: Where they are.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._capacity, self._device = capacity // _ALIGNED * _ALIGNED, device
        self._free = [(0, self._capacity)]  # (start, end), ascending, never side by side
        self._taken: dict[int, int] = {}  # start to end

    def take(self, size: int, tensors: int) -> Shelf | None:
        """The first place for so many tensors with so many bytes together, empty; None where there is none."""
        size = (-(-size // _ALIGNED) + tensors) * _ALIGNED
        for i, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[i : i + 1] = [(start + size, end)] if end - start > size else []
                self._taken[start] = start + size
                return Shelf(self._memory[start : start + size], start)
        return None

    def give_back(self, shelf: Shelf) -> None:
        """One whose tensors nobody will look at again."""
        whole = list[tuple[int, int]]()
        for start, end in sorted([*self._free, (shelf.start, self._taken.pop(shelf.start))]):
            if whole and whole[-1][1] == start:
                start = whole.pop()[0]
            whole.append((start, end))
        self._free = whole

    @cached_property
    def _memory(self) -> Tensor:
        if self._device.type != "cpu":
            return torch.empty(self._capacity, dtype=torch.uint8, device=self._device)
        try:
            memory = mmap.mmap(-1, self._capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:
            raise UsageError(f"there are no {self._capacity:,} bytes for kept activations; lower the budget") from None
        return torch.frombuffer(memory, dtype=torch.uint8)
