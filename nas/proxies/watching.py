"""Passes that are looked at: which layers and nonlinearities a module calls, without a hook on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.proxies.attention import self_attention
from nas.proxies.checks import check_real

# Switched by the sign of their inputs, or nearly so.
_SWITCHES = (
    F.relu, torch.relu, Tensor.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.silu, F.hardswish, F.gelu,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One use of a convolution or linear layer.

    Args:
        weight: Its weight.
        output: What it gave, [N, M, ...] or [N, ..., M].
        channels: Which dimension of the output is that of the channels.
    """

    weight: Tensor
    output: Tensor
    channels: int


@dataclass(frozen=True, slots=True)
class Map:
    """What a convolution, norm or nonlinearity gave.

    Args:
        output: Feature maps [N, C, H, W].
        normed: What a batch norm was given, where it is one's.
    """

    output: Tensor
    normed: Tensor | None = None


@final
class Watch(TorchFunctionMode):
    """Notes what is called while it is active.

    Args:
        norm: What batch norms do instead, with the arguments of `F.batch_norm`.
    """

    def __init__(self, norm: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.maps: list[Map] = []
        self.switches: list[tuple[Tensor, object]] = []
        self._norm = norm
        self._handlers: Mapping[Any, Callable[..., Any]] = {
            F.linear: partial(self._layer, F.linear, -1),
            F.conv1d: partial(self._layer, F.conv1d, 1),
            F.conv2d: partial(self._layer, F.conv2d, 1),
            F.conv3d: partial(self._layer, F.conv3d, 1),
            F.batch_norm: self._batch_norm,
            F.hardsigmoid: _hardsigmoid,
            F.multi_head_attention_forward: partial(self_attention, partial(self._layer, F.linear, -1)),
            **{switch: partial(self._switch, switch) for switch in _SWITCHES},
        }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._handlers.get(func, func)(*args, **(kwargs or {}))

    def _layer(
        self, func: Callable[..., Tensor], channels: int, input: Tensor, weight: Tensor, *a: Any, **k: Any
    ) -> Tensor:
        check_real(input)
        y = func(input, weight, *a, **k)
        self.layers.append(Layer(weight, y, channels))
        self._map(y)
        return y

    def _batch_norm(self, input: Tensor, *a: Any, **k: Any) -> Tensor:
        y = self._norm(input, *a, **k)
        self._map(y, input)
        return y

    def _switch(self, func: Callable[..., Tensor], input: Tensor, *a: Any, **k: Any) -> Tensor:
        code = input.detach() > 0  # before a nonlinearity in place
        if k.get("inplace") or any(word is True for word in a):
            input = input.clone()  # what it would overwrite is looked at later
        y = func(input, *a, **k)
        if code.dim() > 1:  # a row has no samples: it is a parameter
            self.switches.append((code.flatten(1), y.grad_fn))
        self._map(y)
        return y

    def _map(self, y: Tensor, normed: Tensor | None = None) -> None:
        if y.dim() == 4:
            self.maps.append(Map(y, normed))


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """The same from parts that can be differentiated twice."""
    return F.relu6(input + 3) / 6


@final
class RealInputs(TorchFunctionMode):
    """While it is active, layers refuse integers with one line."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (F.linear, F.conv1d, F.conv2d, F.conv3d, F.multi_head_attention_forward):
            check_real((*args, *(kwargs or {}).values())[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def quiet(module: nn.Module) -> Iterator[None]:
    """The module in eval mode, so that no buffer moves and nothing is dropped; afterwards each part as it was."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training
