"""What several proxies read, from as few passes as they need.

A `Probe` looks at a module on one batch: a forward pass in which batch norms use the batch and move no buffer, one
backward pass of the mean cross-entropy, one of the summed logits. Each runs when first asked for. Layers are found by
intercepting functions while the pass runs, so nothing of the module is changed; leaving the block frees the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self, final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.errors import UsageError
from nas.proxies.per_sample import quiet


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


@final
class Probe:
    """A module on a batch; use it as a context manager.

    Args:
        model: Maps x to logits [N, classes]; nothing of it is changed.
        x: Inputs [N, ...]; floating for what asks for their gradient.
        y: Classes [N].

    Raises:
        UsageError: No convolution or linear layer is used.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self.model, self.y = model, y
        self.x = x.detach().clone().requires_grad_() if x.is_floating_point() else x

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__dict__ = {}

    @cached_property
    def _seen(self) -> tuple[Tensor, _Watch]:
        watch = _Watch()
        with torch.enable_grad(), quiet(self.model), watch:
            logits = self.model(self.x)
        if not watch.layers:
            raise UsageError("this proxy needs a module that uses a convolution or a linear layer")
        return logits, watch

    @property
    def logits(self) -> Tensor:
        """[N, classes], with their graph."""
        return self._seen[0]

    @property
    def layers(self) -> list[Layer]:
        """In the order of use."""
        return self._seen[1].layers

    @property
    def codes(self) -> list[Tensor]:
        """For each ReLU, which of its inputs are positive: bool [N, units]."""
        return self._seen[1].codes

    @cached_property
    def gradients(self) -> tuple[dict[Tensor, Tensor], list[Tensor | None]]:
        """Of the mean cross-entropy: with respect to each weight that counts, and to each layer's output."""
        weights = [w for w in dict.fromkeys(layer.weight for layer in self.layers) if w.requires_grad]
        outputs = [layer.output for layer in self.layers]
        loss = F.cross_entropy(self.logits, self.y)
        found = torch.autograd.grad(loss, [*weights, *outputs], retain_graph=True, allow_unused=True)
        of_weights = {w: g for w, g in zip(weights, found, strict=False) if g is not None}
        return of_weights, list(found[len(weights) :])

    @cached_property
    def jacobian(self) -> Tensor:
        """[N, D]: the gradient of each sample's summed logits with respect to its input.

        Raises:
            UsageError: The inputs are integers.
        """
        if not self.x.requires_grad:
            raise UsageError("this proxy differentiates with respect to the inputs, which are integers here")
        (found,) = torch.autograd.grad(self.logits.sum(), [self.x], retain_graph=True)
        return found.flatten(1)


class _Watch(TorchFunctionMode):
    """Notes layers and ReLUs, and lets batch norms use the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.codes: list[Tensor] = []
        self._handlers: Mapping[Any, Callable[..., Any]] = {
            F.linear: lambda *a, **k: self._layer(F.linear, -1, *a, **k),
            F.conv2d: lambda *a, **k: self._layer(F.conv2d, 1, *a, **k),
            F.relu: lambda x, inplace=False: self._relu(x),
            torch.relu: self._relu,
            Tensor.relu: self._relu,
            F.batch_norm: _by_batch,
        }

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return self._handlers.get(func, func)(*args, **(kwargs or {}))

    def _layer(self, func: Callable[..., Tensor], channels: int, x: Tensor, weight: Tensor, *a: Any, **k: Any) -> Tensor:
        y = func(x, weight, *a, **k)
        self.layers.append(Layer(weight, y, channels))
        return y

    def _relu(self, x: Tensor) -> Tensor:
        self.codes.append((x.detach() > 0).flatten(1))
        return torch.relu(x)


def _by_batch(
    x: Tensor, mean: Any, var: Any, weight: Tensor | None = None, bias: Tensor | None = None, *_: Any, eps: float = 1e-5,
    **__: Any,
) -> Tensor:  # fmt: skip
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
