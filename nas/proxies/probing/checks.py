"""What a module, its inputs and its classes have to be; one line says what is wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.errors import UsageError


def check_batch(proxy: str, x: Tensor, y: Tensor) -> None:
    """Refuse what is no tensor, complex inputs, classes that are no integers, and lengths that differ.

    Raises:
        UsageError: Says which.
    """
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise UsageError(f"{proxy} takes tensors of inputs and classes, got {type(x).__name__} and {type(y).__name__}")
    if x.is_complex():
        raise UsageError(f"{proxy} takes real inputs or tokens, and these are complex; pass their parts as channels")
    if len(x) != len(y) or not len(x):
        raise UsageError(f"{proxy} needs as many classes as inputs, got {len(y)} and {len(x)}")
    if y.dim() != 1 or y.is_floating_point() or y.is_complex() or y.dtype is torch.bool:
        raise UsageError(f"{proxy} needs classes as a row of integers, got {y.dtype} of shape {list(y.shape)}")


def check_real(inputs: Tensor) -> None:
    """Refuse integers where a layer multiplies.

    Raises:
        UsageError: Names the type.
    """
    if not inputs.is_floating_point():
        raise UsageError(f"a layer was given {inputs.dtype} to multiply; give images as floats, normalised")


def check_logits(logits: Any, n: int) -> None:
    """Refuse what is not [n, classes].

    Raises:
        UsageError: Says what it is.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != n:
        got = f"a tensor of {logits.dim()} dimensions" if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"a proxy needs a module that gives logits [N, classes]; this one gives {got}")


def check_classes(y: Tensor, classes: int) -> None:
    """Refuse classes that the logits do not have.

    Raises:
        UsageError: Names one.
    """
    for label in (int(y.min()), int(y.max())):
        if not 0 <= label < classes:
            raise UsageError(f"the module knows classes 0 to {classes - 1}, the batch has class {label}")
