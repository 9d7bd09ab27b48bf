"""W-PCA: how many directions the hidden layers of feed-forward blocks use (Shang et al. 2025), without gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.errors import UsageError
from nas.proxies.probing.recorder import FloatInputGuard, eval_mode
from nas.proxies.probing.spectra import eigenvalues
from nas.proxies.proxy import Proxy, score_metric


def wpca(
    model: nn.Module, x: Any, *, eta: float = 0.99, hidden: list[nn.Linear] | None = None, mask: Tensor | None = None
) -> float:
    """V-PCA times the number of parameters, higher is better; arguments as for `vpca`."""
    return vpca(model, x, eta=eta, hidden=hidden, mask=mask) * sum(p.numel() for p in model.parameters())


def vpca(
    model: nn.Module, x: Any, *, eta: float = 0.99, hidden: list[nn.Linear] | None = None, mask: Tensor | None = None
) -> float:
    """S = sum over blocks of min{k: the k largest eigenvalues hold a share eta of the variance}, higher is better.

    The variance is that of the hidden layer before its nonlinearity, over all tokens. Only a Gram matrix is kept: that
    of the layer's inputs, if those are fewer, since the hidden layer is a linear map of them. A layer that is used
    several times is one, with all its tokens. NaN where a layer is given what is not finite.

    Args:
        model: Called once, in eval mode, as `model(x)`, `model(*x)` for a tuple or `model(**x)` for a mapping; nothing
            of it is changed.
        x: Inputs of B sequences of T tokens.
        eta: Share of the variance, in 0..1.
        hidden: The first linear layers of the feed-forward blocks; None finds those that widen and are followed by one
            that narrows back, see `feed_forward_layers`.
        mask: [B, T], true for tokens that count; padding is left out.

    Raises:
        UsageError: No such layers, fewer than two tokens, integers where a layer multiplies, or eta out of range.
    """
    spectra = spectra_of(model, x, hidden=hidden, mask=mask)
    if not all(bool(values.isfinite().all()) for values in spectra):
        return math.nan
    return float(sum(directions(values, eta) for values in spectra))


def directions(eigenvalues: Tensor, eta: float) -> int:
    """The fewest largest of the eigenvalues [D] that hold a share `eta` of their sum; 0 where all are 0."""
    if not 0 < eta <= 1:
        raise UsageError(f"eta is a share of the variance in 0..1, got {eta}")
    values = eigenvalues.double().clamp(min=0).sort(descending=True).values
    if float(values.sum()) == 0:
        return 0
    shares = values.cumsum(0) / values.sum()
    return min(len(values), int((shares < eta - 1e-12).sum()) + 1)


def spectra_of(
    model: nn.Module, x: Any, *, hidden: list[nn.Linear] | None = None, mask: Tensor | None = None
) -> list[Tensor]:
    """Eigenvalues of the covariance of each hidden layer, ascending, of which there are as many as the layer has
    outputs, or inputs where those are fewer (the rest are zero); arguments as for `vpca`.
    """
    layers = feed_forward_layers(model) if hidden is None else hidden
    if not layers:
        raise UsageError(
            "W-PCA is for transformers, and this module has no linear layer that widens before one that narrows back; "
            "in Python give vpca or wpca the first layers of its feed-forward blocks, hidden=[module, ...]"
        )
    if not all(isinstance(layer, nn.Linear) for layer in layers):
        raise UsageError("hidden= takes the linear layers themselves, as modules of the model")
    with _moments(layers, mask) as moments, torch.no_grad(), eval_mode(model), FloatInputGuard():
        _ = model(**x) if isinstance(x, Mapping) else model(*x) if isinstance(x, tuple) else model(x)
    unused = [layer for layer, moment in zip(layers, moments, strict=True) if moment.count < 2]
    if unused:
        raise UsageError(f"{len(unused)} of {len(layers)} feed-forward layers saw fewer than two tokens")
    covariances = [_hidden_covariance(*pair) for pair in zip(layers, moments, strict=True)]
    spectra: dict[int, Tensor] = {}
    for size in {len(c) for c in covariances}:  # layers of one size in one batch
        same = [i for i, c in enumerate(covariances) if len(c) == size]
        spectra |= dict(zip(same, eigenvalues(torch.stack([covariances[i] for i in same])), strict=True))
    return [spectra[i] for i in range(len(covariances))]


def feed_forward_layers(model: nn.Module) -> list[nn.Linear]:
    """First layers of feed-forward blocks: linear layers that widen, followed by one that narrows back.

    Of two that widen side by side, as in gated blocks, it is the first, which is the gate; three are an attention's.
    """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    first_layers = list[nn.Linear]()
    for i, back in enumerate(linears):
        first = i
        while first and (linears[first - 1].in_features, linears[first - 1].out_features) == (
            back.out_features,
            back.in_features,
        ):
            first -= 1
        if i - 2 <= first < i and back.out_features < back.in_features:
            first_layers.append(linears[first])
    return first_layers


def _widens(layer: nn.Linear) -> bool:
    """Whether the inputs say it all; a subclass may do more than multiply."""
    return type(layer) is nn.Linear and layer.in_features < layer.out_features


def _hidden_covariance(layer: nn.Linear, moments: _Moments) -> Tensor:
    """[K, K] with the eigenvalues of the covariance of the outputs that are not zero by their number."""
    covariance = moments.covariance()
    if not _widens(layer):
        return covariance
    # W C W' has the eigenvalues of R C R' where W = Q R.
    r: Tensor = torch.linalg.qr(layer.weight.detach().to(covariance.dtype), mode="r").R
    return r @ covariance @ r.mT


@final
class _Moments:
    """Sum and Gram matrix of rows, less what the first rows have for a mean, so that nothing cancels later."""

    def __init__(self) -> None:
        self.count = 0
        self._shift: Tensor | None = None
        self._sum: Tensor | None = None
        self._gram: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Take [n, D]."""
        if not len(rows):
            return
        rows = rows.float()
        self._shift = rows.mean(0) if self._shift is None else self._shift
        rows = rows - self._shift
        gram, total = (rows.T @ rows).double(), rows.double().sum(0)
        self._gram = gram if self._gram is None else self._gram + gram
        self._sum = total if self._sum is None else self._sum + total
        self.count += len(rows)

    def covariance(self) -> Tensor:
        """[D, D]."""
        assert self._gram is not None
        assert self._sum is not None
        return (self._gram - torch.outer(self._sum, self._sum) / self.count) / (self.count - 1)


@contextmanager
def _moments(layers: list[nn.Linear], mask: Tensor | None) -> Iterator[list[_Moments]]:
    """Collects the inputs of layers that widen, the outputs of others, while the block runs."""
    all_moments = [_Moments() for _ in layers]

    def hook_of(moments: _Moments) -> Any:
        def hook(layer: nn.Linear, args: tuple[Tensor, ...], words: Mapping[str, Tensor], output: Tensor) -> None:
            given = (*args, *words.values())[0] if _widens(layer) else output
            rows = given.reshape(-1, given.shape[-1])
            moments.add(rows if mask is None else rows[mask.reshape(-1).bool()])

        return hook

    with ExitStack() as hooks:
        for layer, moments in zip(layers, all_moments, strict=True):
            hooks.callback(layer.register_forward_hook(hook_of(moments), with_kwargs=True).remove)
        yield all_moments


WPCA = Proxy(
    score_metric("wpca"), lambda probe: wpca(probe.model, probe.arguments, mask=probe.mask), needs="feed_forward_blocks"
)
VPCA = Proxy(
    score_metric("vpca"), lambda probe: vpca(probe.model, probe.arguments, mask=probe.mask), needs="feed_forward_blocks"
)
