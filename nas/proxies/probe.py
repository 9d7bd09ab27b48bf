"""What several proxies read, from as few passes as they need.

A `Probe` looks at a module on one batch: a forward pass in which batch norms use the batch and move no buffer, one
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
from nas.proxies.checks import check_batch, check_classes, check_logits
from nas.proxies.norms import by_batch
from nas.proxies.watching import Watch, quiet

T = TypeVar("T")


@final
class Seen:
    """One forward pass.

    Args:
        logits: What came out, with its graph.
        watch: What was called on the way.
    """

    def __init__(self, logits: Tensor, watch: Watch) -> None:
        self.logits, self.layers, self.maps = logits, watch.layers, watch.maps
        self._switches = watch.switches

    @cached_property
    def finite(self) -> bool:
        """Whether all logits are numbers; the codes of a network of NaNs look like any others."""
        return bool(self.logits.isfinite().all())

    @cached_property
    def codes(self) -> list[Tensor]:
        """For each nonlinearity that the logits depend on, which of its inputs are positive: bool [N, units]."""
        reached, n = _graph_of(self.logits), len(self.logits)
        codes = [code for code, switch in self._switches if switch in reached]
        if any(len(code) % n for code in codes):
            raise UsageError("a nonlinearity has no samples in its first dimension; a proxy needs them there")
        return [code.reshape(n, -1) for code in codes]


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
        self._kept: dict[object, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("leaves", "input", "seen", "gradients", "jacobian"):
            self.__dict__.pop(name, None)
        self._kept.clear()

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What the module is called with."""
        return (self.x,) if self.mask is None else (self.x, self.mask)

    def once(self, make: Callable[[Probe], T]) -> T:
        """What a function makes of this probe, kept for those who ask next until the block ends."""
        if make not in self._kept:
            self._kept[make] = make(self)
        return cast("T", self._kept[make])

    def generator(self) -> torch.Generator:
        """A new one of this seed, where the inputs are."""
        return torch.Generator(self.x.device).manual_seed(self.seed)

    def images(self, proxy: str) -> Tensor:
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
    def seen(self) -> Seen:
        """The forward pass on the whole batch."""
        return self.look(self.input)

    def look(self, x: Tensor, mask: Tensor | None = None) -> Seen:
        """A forward pass on other inputs; batch norms use them.

        Raises:
            UsageError: No convolution or linear layer is used, or the module gives no logits.
        """
        mask = self.mask if mask is None else mask
        watch = Watch(by_batch)
        with torch.enable_grad(), quiet(self.model), watch:
            logits = functional_call(self.model, self.leaves, (x,) if mask is None else (x, mask), tie_weights=False)
        if not watch.layers:
            raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
        check_logits(logits, len(x))
        return Seen(logits, watch)

    def loss(self, seen: Seen, y: Tensor) -> Tensor:
        """Mean cross-entropy.

        Raises:
            UsageError: A class that the logits do not have.
        """
        check_classes(y, seen.logits.shape[1])
        return F.cross_entropy(seen.logits, y)

    @cached_property
    def gradients(self) -> tuple[dict[Tensor, Tensor], list[Tensor | None]]:
        """Of the mean cross-entropy: to each weight that counts, and to each layer's output or None."""
        weights = list(dict.fromkeys(layer.weight for layer in self.seen.layers))
        outputs = [layer.output for layer in self.seen.layers]
        loss = self.loss(self.seen, self.y)
        found = torch.autograd.grad(loss, [*weights, *outputs], retain_graph=True, allow_unused=True)
        of_weights = {w: g for w, g in zip(weights, found, strict=False) if g is not None}
        return of_weights, list(found[len(weights) :])

    @cached_property
    def jacobian(self) -> Tensor:
        """[N, D]: the gradient of the summed logits with respect to each input.

        Raises:
            UsageError: The inputs are integers.
        """
        self.images("a proxy of the Jacobian")
        (found,) = torch.autograd.grad(self.seen.logits.sum(), [self.input], retain_graph=True)
        return found.flatten(1)


def _graph_of(output: Tensor) -> set[object]:
    """All steps of the graph that an output depends on."""
    found, queue = set[object](), [output.grad_fn]
    while queue:
        step = queue.pop()
        if step is not None and step not in found:
            found.add(step)
            queue.extend(parent for parent, _ in step.next_functions)
    return found
