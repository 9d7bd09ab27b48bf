"""One batched pass in which every sample is on its own: no layer couples samples, weight gradients are never summed.

The module sees one sample at a time, under `torch.vmap`; below that the convolutions and linear layers of all samples
run as one batch. They are intercepted as functions while the pass runs, so nothing of the module is changed and no hook
outlives it; in the backward pass they hand inputs and output gradients to a collector, and no weight gradient is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.nn.grad import conv2d_input
from torch.overrides import TorchFunctionMode

from nas.proxies.probing.attention import self_attention
from nas.proxies.probing.batch_norms import normalise_samples
from nas.proxies.probing.checks import check_real


class Geometry(NamedTuple):
    """How a convolution moves."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, slots=True)
class LayerBackward:
    """One call of a layer, as its backward pass sees it.

    Args:
        weight: The parameter, or a part of it.
        inputs: [N, L, K] of a linear layer, [N, C, H, W] of a convolution.
        grads: Gradients of the outputs, [N, L, M] or [N, M, H', W'].
        geometry: Of a convolution; None for a linear layer.
    """

    weight: Tensor
    inputs: Tensor
    grads: Tensor
    geometry: Geometry | None


Collector = Callable[[LayerBackward], None]


class _LayerFunction(torch.autograd.Function):
    """A linear layer or a convolution of all samples, that collects in place of making a weight gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, anchor: Tensor, geometry: Geometry | None,
        collect: Collector,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.collect = geometry, collect
        if geometry is None:
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        ctx.collect(LayerBackward(weight, x, grad, ctx.geometry))
        back = None
        if ctx.needs_input_grad[0]:
            back = grad @ weight if ctx.geometry is None else _input_gradient(x, weight, grad, ctx.geometry)
        return back, None, None, None, None, None


def _input_gradient(x: Tensor, weight: Tensor, grad: Tensor, geometry: Geometry) -> Tensor:
    gradient: Tensor = conv2d_input(x.shape, weight, grad, *geometry)  # type: ignore[no-untyped-call]
    return gradient


class _SampleFunction(torch.autograd.Function):
    """What a module under vmap calls for one sample; the rule runs the layer for all of them."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, run: Callable[..., Tensor]) -> Tensor:
        return run(x.unsqueeze(0), weight, bias).squeeze(0)  # what no sample has a say in

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, run: Callable[..., Tensor]
    ) -> tuple[Tensor, int]:
        if in_dims[1] is not None or in_dims[2] is not None:
            raise NotImplementedError("weights that depend on the sample")
        x = x.expand(info.batch_size, *x.shape) if in_dims[0] is None else x.movedim(in_dims[0], 0)
        return run(x, weight, bias), 0


@final
class PerSampleMode(TorchFunctionMode):
    """While active, the functions behind layers act sample by sample.

    What the sum over samples must not be cut at is refused by a NotImplementedError: weights that are used in several
    places, that are computed from parameters, or that only functions know which are not batched here.

    Args:
        model: The module that will be called.
        collect: Gets every call of a convolution or linear layer, in the backward pass.
    """

    def __init__(self, model: nn.Module, collect: Collector) -> None:
        super().__init__()
        self._collect = collect
        self._parameters, self._buffers = set(model.parameters()), set(model.buffers())
        self._used = set[Tensor]()
        self._transformed = set[Tensor]()  # parameters that other functions have made tensors of
        self.anchor = torch.zeros((), requires_grad=True)  # what a backward pass asks for, so that all layers run
        self._handlers: Mapping[Any, Callable[..., Any]] = {
            F.linear: self._linear,
            F.conv2d: self._conv2d,
            F.batch_norm: self._batch_norm,
            F.multi_head_attention_forward: partial(self_attention, self._linear),
            **dict.fromkeys(
                (F.conv1d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.bilinear),
                _unsupported,
            ),
        }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self._handlers:
            return self._handlers[func](*args, **kwargs)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self._transformed.update(part for part in _tensors((args, *kwargs.values())) if part in self._parameters)
        return result

    def _collect_once(self, call: LayerBackward) -> None:
        if call.weight in self._buffers:
            return
        if call.weight not in self._parameters:
            raise NotImplementedError("a weight that is computed: its parameters must be known before the sign")
        if call.weight in self._used or call.weight in self._transformed:
            raise NotImplementedError("a weight that is used twice: its sum must be complete before the sign")
        self._used.add(call.weight)
        self._collect(call)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        check_real(input)

        def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # [N, ..., K]
            flat = x.reshape(len(x), -1, x.shape[-1])
            y = _apply(_LayerFunction, flat, weight, bias, self.anchor, None, self._collect_once)
            return y.view(*x.shape[:-1], -1)

        return _apply(_SampleFunction, input, weight, bias, run)

    def _conv2d(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        check_real(input)
        if padding == "same":
            reach = [d * (k - 1) for d, k in zip(_pair(dilation), weight.shape[2:], strict=True)]
            if any(r % 2 for r in reach):
                raise NotImplementedError("a padding with more pixels after than before")
            padding = [r // 2 for r in reach]
        geometry = Geometry(_pair(stride), _pair(0 if padding == "valid" else padding), _pair(dilation), groups)

        def run(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # [N, 1, C, H, W]
            return _apply(
                _LayerFunction, x.flatten(0, -4), weight, bias, self.anchor, geometry, self._collect_once
            ).unsqueeze(1)

        return _apply(_SampleFunction, input, weight, bias, run)

    def _batch_norm(
        self, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
        bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        def run(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:  # [N, n, C, ...]
            return normalise_samples(x, weight, bias, eps)

        return _apply(_SampleFunction, input, weight, bias, run)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _unsupported(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("a layer that no batched pass knows")


def _apply(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    result: Tensor = function.apply(*args)  # type: ignore[no-untyped-call]  # torch has no types here
    return result


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
