"""A proxy as a value: a score of an untrained network, its metric, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from nas.errors import UsageError
from nas.objectives import Metric
from nas.proxies.probing.probe import Probe

Needs = Literal["", "real_inputs", "feed_forward_blocks"]
ModuleScore = Callable[[nn.Module, Tensor, Tensor], float]  # of a module, inputs and classes


@final
@dataclass(frozen=True, slots=True)
class Proxy:
    """A zero-shot score of a module on a batch, higher is better; NaN or infinite where there is none.

    >>> weights = Proxy(score_metric("weights"), lambda probe: float(sum(p.numel() for p in probe.model.parameters())))
    >>> import torch
    >>> weights(nn.Linear(3, 2), torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    8.0

    Args:
        metric: What it is called in trials, tables and pictures.
        score: Gives it, of a probe.
        needs: What not every network has: inputs of real numbers, or a transformer's feed-forward blocks.
    """

    metric: Metric
    score: Callable[[Probe], float]
    needs: Needs = ""

    @property
    def name(self) -> str:
        """That of the metric."""
        return self.metric.name

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, *, mask: Tensor | None = None, seed: int = 0) -> float:
        """The score of a module.

        Args:
            model: Maps x to logits [N, classes], or (x, mask) where there is a mask; nothing of it is changed.
            x: Inputs [N, ...], images or tokens.
            y: Classes [N].
            mask: For tokens [N, T], true for those that count.
            seed: Of all that is drawn at random.

        Raises:
            UsageError: The proxy cannot take this module or batch.
        """
        with Probe(model, x, y, mask=mask, seed=seed) as probe:
            return self.score(probe)


ProxyLike = str | Proxy | ModuleScore  # a name, a proxy, or a function that becomes one


def score_metric(name: str) -> Metric:
    """The metric of a score."""
    return Metric(name, "max", label=f"score {name}")


def from_function(function: ModuleScore) -> Proxy:
    """A function of a module, inputs and classes as a proxy with the function's name.

    Raises:
        UsageError: It has no name that a metric can have, as a lambda.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise UsageError(
            f"a proxy needs a name, and {function!r} has none; define it with def, or give "
            "Proxy(Metric('my_score', 'max'), score), where score is a function of a Probe"
        )
    return Proxy(score_metric(name), lambda probe: function(probe.model, probe.x, probe.y))
