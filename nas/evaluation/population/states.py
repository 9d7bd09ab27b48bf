"""What a step hands to the next one, seen as tensors."""

from __future__ import annotations

from torch import Tensor

from nas.supernets.steps import State


def tensors_of(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state, in order."""
    return (state,) if isinstance(state, Tensor) else state


def size_of(state: State) -> int:
    """Bytes of a state. Tensors that the step only passes on count too."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(state))
