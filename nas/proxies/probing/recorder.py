"""Recorded passes: which layers and nonlinearities a module calls, without a hook on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.errors import UsageError
from nas.proxies.probing.attention import self_attention
from nas.proxies.probing.checks import check_real

# Switched by the sign of their inputs, or nearly so.
_ACTIVATIONS = (
    F.relu, torch.relu, Tensor.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu, F.silu, F.hardswish, F.gelu,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a convolution or linear layer.

    Args:
        weight: Its weight.
        output: What it gave, [N, M, ...] or [N, ..., M].
        channel_dim: Which dimension of the output is that of the channels.
    """

    weight: Tensor
    output: Tensor
    channel_dim: int


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """What a convolution, norm or nonlinearity gave.

    Args:
        output: Feature maps [N, C, H, W].
        norm_input: What a batch norm was given, where it is one's.
    """

    output: Tensor
    norm_input: Tensor | None = None


@final
class OperationRecorder(TorchFunctionMode):
    """Records what is called while it is active.

    Args:
        norm: What batch norms do instead, with the arguments of `F.batch_norm`.
    """

    def __init__(self, norm: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layers: list[LayerCall] = []
        self.maps: list[FeatureMap] = []
        self.activations: list[tuple[Tensor, object]] = []  # codes [N, units], and steps of the graph
        self._norm = norm
        self._handlers: Mapping[Any, Callable[..., Any]] = {
            F.linear: partial(self._layer, F.linear, -1),
            F.conv1d: partial(self._layer, F.conv1d, 1),
            F.conv2d: partial(self._layer, F.conv2d, 1),
            F.conv3d: partial(self._layer, F.conv3d, 1),
            F.batch_norm: self._batch_norm,
            F.hardsigmoid: _hardsigmoid,
            F.multi_head_attention_forward: partial(self_attention, partial(self._layer, F.linear, -1)),
            **{function: partial(self._activation, function) for function in _ACTIVATIONS},
        }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._handlers.get(func, func)(*args, **(kwargs or {}))

    def _layer(
        self, func: Callable[..., Tensor], channel_dim: int, input: Tensor, weight: Tensor, *a: Any, **k: Any
    ) -> Tensor:
        check_real(input)
        y = func(input, weight, *a, **k)
        self.layers.append(LayerCall(weight, y, channel_dim))
        self._keep_map(y)
        return y

    def _batch_norm(self, input: Tensor, *a: Any, **k: Any) -> Tensor:
        y = self._norm(input, *a, **k)
        self._keep_map(y, input)
        return y

    def _activation(self, func: Callable[..., Tensor], input: Tensor, *a: Any, **k: Any) -> Tensor:
        code = input.detach() > 0  # before a nonlinearity in place
        if k.get("inplace") or any(word is True for word in a):
            input = input.clone()  # what it would overwrite is read later
        y = func(input, *a, **k)
        if code.dim() > 1:  # a row has no samples: it is a parameter
            self.activations.append((code.flatten(1), y.grad_fn))
        self._keep_map(y)
        return y

    def _keep_map(self, y: Tensor, norm_input: Tensor | None = None) -> None:
        if y.dim() == 4:
            self.maps.append(FeatureMap(y, norm_input))


@final
class ForwardRecord:
    """One forward pass.

    Args:
        logits: What came out, with its graph.
        operations: What was called on the way.
    """

    def __init__(self, logits: Tensor, operations: OperationRecorder) -> None:
        self.logits, self.layers, self.maps = logits, operations.layers, operations.maps
        self._activations = operations.activations

    @cached_property
    def finite(self) -> bool:
        """Whether all logits are numbers; the codes of a network of NaNs look like any others."""
        return bool(self.logits.isfinite().all())

    @cached_property
    def codes(self) -> list[Tensor]:
        """For each nonlinearity that the logits depend on, which of its inputs are positive: bool [N, units]."""
        reached, n = _graph_of(self.logits), len(self.logits)
        codes = [code for code, step in self._activations if step in reached]
        if any(len(code) % n for code in codes):
            raise UsageError("a nonlinearity has no samples in its first dimension; a proxy needs them there")
        return [code.reshape(n, -1) for code in codes]


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """The same from parts that can be differentiated twice."""
    return F.relu6(input + 3) / 6


@final
class FloatInputGuard(TorchFunctionMode):
    """While it is active, layers refuse integers with one line."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (F.linear, F.conv1d, F.conv2d, F.conv3d, F.multi_head_attention_forward):
            check_real((*args, *(kwargs or {}).values())[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """The module in eval mode, so that no buffer moves and nothing is dropped; afterwards each part as it was."""
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


def _graph_of(output: Tensor) -> set[object]:
    """All steps of the graph that an output depends on."""
    steps, queue = set[object](), [output.grad_fn]
    while queue:
        step = queue.pop()
        if step is not None and step not in steps:
            steps.add(step)
            queue.extend(parent for parent, _ in step.next_functions)
    return steps
