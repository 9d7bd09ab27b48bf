"""What several proxies read, from as few passes as they need.

A `Probe` runs a module on one batch: a forward pass in which batch norms use the batch and move no buffer, one
backward pass of the mean cross-entropy, one of the summed logits. Each runs when first asked for. Layers are found by
intercepting functions while a pass runs, so nothing of the module is changed; leaving the block frees the graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Self, TypeVar, cast, final

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UsageError
from nas.proxies.probing.batch_norms import normalise_by_batch
from nas.proxies.probing.checks import check_batch, check_classes, check_logits
from nas.proxies.probing.recorder import ForwardRecord, OperationRecorder, eval_mode

T = TypeVar("T")


@final
class Probe:
    """A module on a batch; use it as a context manager.

    Args:
        model: Maps x to logits [N, classes], or (x, mask) where there is a mask; nothing of it is changed.
        x: Inputs [N, ...], images or tokens.
        y: Classes [N].
        mask: For tokens [N, T], true for those that count.
        seed: Of all that is drawn at random.

    Raises:
        UsageError: Complex inputs, classes that are no integers, or not as many as inputs.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, *, mask: Tensor | None = None, seed: int = 0) -> None:
        check_batch("a proxy", x, y)
        self.model, self.x, self.y, self.mask, self.seed = model, x.detach(), y, mask, seed
        self._cache: dict[object, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("leaves", "input", "record", "gradients", "jacobian"):
            self.__dict__.pop(name, None)
        self._cache.clear()

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What the module is called with."""
        return (self.x,) if self.mask is None else (self.x, self.mask)

    def cached(self, make: Callable[[Probe], T]) -> T:
        """What a function makes of this probe; computed once and kept until the block ends."""
        if make not in self._cache:
            self._cache[make] = make(self)
        return cast("T", self._cache[make])

    def generator(self) -> torch.Generator:
        """A new one of this seed, where the inputs are."""
        return torch.Generator(self.x.device).manual_seed(self.seed)

    def real_inputs(self, proxy: str) -> Tensor:
        """The inputs, which this proxy needs to be real numbers.

        Raises:
            UsageError: They are integers.
        """
        if not self.x.is_floating_point():
            raise UsageError(f"{proxy} needs inputs of real numbers, and these are {self.x.dtype}; it is for images")
        return self.x

    @cached_property
    def leaves(self) -> dict[str, Tensor]:
        """The module's parameters as tensors that ask for gradients, whether the module's own do or not."""
        # A parameter with two names must stay one tensor, or its gradient falls apart.
        own = {parameter: parameter.detach().requires_grad_() for parameter in self.model.parameters()}
        return {name: own[p] for name, p in self.model.named_parameters(remove_duplicate=False)}

    @cached_property
    def input(self) -> Tensor:
        """The inputs as a tensor that asks for its gradient where it is of real numbers."""
        return self.x.clone().requires_grad_() if self.x.is_floating_point() else self.x

    @cached_property
    def record(self) -> ForwardRecord:
        """The forward pass on the whole batch."""
        return self.forward(self.input)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> ForwardRecord:
        """A forward pass on other inputs; batch norms use them.

        Raises:
            UsageError: No convolution or linear layer is used, or the module gives no logits.
        """
        mask = self.mask if mask is None else mask
        operations = OperationRecorder(normalise_by_batch)
        with torch.enable_grad(), eval_mode(self.model), operations:
            logits = functional_call(self.model, self.leaves, (x,) if mask is None else (x, mask), tie_weights=False)
        if not operations.layers:
            raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
        check_logits(logits, len(x))
        return ForwardRecord(logits, operations)

    def loss(self, record: ForwardRecord, y: Tensor) -> Tensor:
        """Mean cross-entropy.

        Raises:
            UsageError: A class that the logits do not have.
        """
        check_classes(y, record.logits.shape[1])
        return F.cross_entropy(record.logits, y)

    @cached_property
    def gradients(self) -> tuple[dict[Tensor, Tensor], list[Tensor | None]]:
        """Of the mean cross-entropy: to each weight that counts, and to each layer's output or None."""
        weights = list(dict.fromkeys(layer.weight for layer in self.record.layers))
        outputs = [layer.output for layer in self.record.layers]
        loss = self.loss(self.record, self.y)
        grads = torch.autograd.grad(loss, [*weights, *outputs], retain_graph=True, allow_unused=True)
        of_weights = {w: g for w, g in zip(weights, grads, strict=False) if g is not None}
        return of_weights, list(grads[len(weights) :])

    @cached_property
    def jacobian(self) -> Tensor:
        """[N, D]: the gradient of the summed logits with respect to each input.

        Raises:
            UsageError: The inputs are integers.
        """
        self.real_inputs("a proxy of the Jacobian")
        (gradient,) = torch.autograd.grad(self.record.logits.sum(), [self.input], retain_graph=True)
        return gradient.flatten(1)
