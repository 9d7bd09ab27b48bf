"""An arena: memory outside the heap for activations that live long.

Tensors that stay among short-lived ones split the heap. The gaps beside them are too small for larger tensors. Memory
that the system hands out anew costs several times what filling it costs, so an arena returns none.
"""

from __future__ import annotations

import mmap
from collections.abc import Hashable
from functools import cached_property
from typing import NamedTuple, final

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.evaluation.population.states import tensors_of
from nas.supernets.steps import State

_ALIGNMENT = 64  # bytes, for vector instructions


class _Layout(NamedTuple):
    """Where a tensor is in a block, and its form."""

    start: int
    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype


@final
class Block:
    """A piece of an arena. It holds copies of states, side by side.

    Args:
        memory: Bytes [N].
        start: Its offset in the arena.
    """

    def __init__(self, memory: Tensor, start: int = 0) -> None:
        self.memory, self.start, self._used = memory, start, 0
        self._layouts: dict[Hashable, _Layout | tuple[_Layout, ...]] = {}

    def __contains__(self, name: Hashable) -> bool:
        return name in self._layouts

    def put(self, name: Hashable, state: State) -> bool:
        """Copy a tensor, or a tuple of tensors; dense, of any shape, without gradient.

        Returns:
            Whether it fits. If not, nothing is copied.
        """
        end, layouts = self._used, list[_Layout]()
        for tensor in tensors_of(state):
            strides = torch.empty_like(tensor, device="meta").stride()
            layouts.append(_Layout(end, tensor.shape, strides, tensor.dtype))
            size = tensor.numel() * tensor.element_size()
            if end + size > len(self.memory):
                return False
            end += _aligned(size)
        for layout, tensor in zip(layouts, tensors_of(state), strict=True):
            self._view(layout).copy_(tensor)
        # Last, so that an interrupted copy is never read.
        self._layouts[name] = layouts[0] if isinstance(state, Tensor) else tuple(layouts)
        self._used = end
        return True

    def __getitem__(self, name: Hashable) -> State:
        """The copy, in the form and with the strides of what was put there. Never write to it."""
        layout = self._layouts[name]
        if isinstance(layout, _Layout):
            return self._view(layout)
        return tuple(self._view(part) for part in layout)

    def _view(self, layout: _Layout) -> Tensor:
        size = layout.shape.numel() * layout.dtype.itemsize
        return (
            self.memory[layout.start : layout.start + size].view(layout.dtype).as_strided(layout.shape, layout.strides)
        )


@final
class Arena:
    """One range of memory, from which blocks are allocated.

    Args:
        capacity: Bytes. Pages that no block ever used take no memory.
        device: Where it is.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._capacity, self._device = capacity // _ALIGNMENT * _ALIGNMENT, device
        self._free = [(0, self._capacity)]  # (start, end), ascending, never adjacent
        self._allocated: dict[int, int] = {}  # start to end

    def allocate(self, size: int, tensors: int) -> Block | None:
        """An empty block at the first free range that is large enough; None where there is none.

        Args:
            size: Bytes of all tensors together.
            tensors: How many there will be.
        """
        size = _aligned(size) + tensors * _ALIGNMENT
        for i, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[i : i + 1] = [(start + size, end)] if end - start > size else []
                self._allocated[start] = start + size
                return Block(self._memory[start : start + size], start)
        return None

    def free(self, block: Block) -> None:
        """Take back a block that nobody will read again."""
        merged = list[tuple[int, int]]()
        for start, end in sorted([*self._free, (block.start, self._allocated.pop(block.start))]):
            if merged and merged[-1][1] == start:
                start = merged.pop()[0]
            merged.append((start, end))
        self._free = merged

    @cached_property
    def _memory(self) -> Tensor:
        if self._device.type != "cpu":
            return torch.empty(self._capacity, dtype=torch.uint8, device=self._device)
        try:
            memory = mmap.mmap(-1, self._capacity, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:
            raise UsageError(f"there are no {self._capacity:,} bytes for the prefix cache; lower the budget") from None
        return torch.frombuffer(memory, dtype=torch.uint8)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
