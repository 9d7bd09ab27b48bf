"""Untrained networks scored by proxies, in the place of training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor, nn

from nas.errors import UsageError
from nas.evaluation.evaluator import Failure, Metrics, Outcome
from nas.evaluation.totals import Totals
from nas.proxies import Probe, resolve, score
from nas.proxies.proxy import ProxyLike
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import network

Build = Callable[[SearchSpace, Architecture, int], nn.Module]


def build_network(space: SearchSpace, arch: Architecture, seed: int) -> nn.Module:
    """A freshly initialised network of an architecture."""
    return network(space, arch, seed=seed)


@final
class ProxyEvaluator:
    """Scores architectures by one or several proxies; the mean of several initialisations on request.

    A network that has no finite score is a `Failure`.

    >>> import torch
    >>> from nas import search_spaces
    >>> from nas.task import ImageClassification
    >>> space = search_spaces.get("nasbench201", task=ImageClassification(8, 1, 4), preset="tiny")
    >>> x, y = torch.randn(8, 1, 8, 8), torch.arange(8) % 4
    >>> (scores,) = ProxyEvaluator(space, ["gradsign", "params"], x, y).evaluate([space.largest()])
    >>> list(scores)
    ['gradsign', 'params']

    Args:
        space: Whose members.
        proxies: Names, see `nas.proxies.PROXIES`; `Proxy` objects; or functions of a module, inputs and classes, whose
            names are then those of the metrics. Rankings of sets cannot be asked here.
        x: Inputs [N, ...], images or tokens.
        y: Classes [N].
        mask: Of tokens, true for those that count.
        device: Where to compute.
        seed: Of weights and of what proxies draw.
        repeats: Initialisations to take the mean of.
        build: Gives a network of (space, architecture, seed).

    Raises:
        UnknownName: No such proxy.
        UsageError: A ranking of sets, a function without a name, two proxies with one name, or fewer than one repeat.
    """

    def __init__(
        self, space: SearchSpace, proxies: Sequence[ProxyLike], x: Tensor, y: Tensor, *, mask: Tensor | None = None,
        device: str = "cpu", seed: int = 0, repeats: int = 1, build: Build = build_network,
    ) -> None:  # fmt: skip
        self._proxies = resolve(proxies)
        if repeats < 1:
            raise UsageError(f"a score needs at least 1 initialisation, got {repeats}")
        self._space, self._build, self._device = space, build, device
        self._x, self._y = x.to(device), y.to(device)
        self._mask = None if mask is None else mask.to(device)
        self._seeds = range(seed, seed + repeats)
        self._known: dict[Architecture, Metrics] = {}
        self.seconds: dict[str, list[float]] = {proxy.name: [] for proxy in self._proxies}  # of each network so far
        self.totals = Totals()

    def evaluate(self, archs: Sequence[Architecture]) -> list[Outcome]:
        """The scores of each architecture; identical ones are scored once, now and later.

        Raises:
            UsageError: A proxy cannot take the networks of this space or these inputs.
        """
        began = time.perf_counter()
        outcomes = [self._outcome(self.raw(arch)) for arch in archs]
        self.totals += Totals(len(archs), time.perf_counter() - began)
        return outcomes

    def raw(self, arch: Architecture) -> Metrics:
        """The scores of an architecture, finite or not."""
        if arch not in self._known:
            self._known[arch] = self._scores(arch)
        return dict(self._known[arch])

    def _outcome(self, scores: Metrics) -> Outcome:
        broken = [name for name, value in scores.items() if not math.isfinite(value)]
        return Failure(f"{broken[0]} is not finite") if broken else scores

    def _scores(self, arch: Architecture) -> Metrics:
        total: Metrics = dict.fromkeys(self.seconds, 0.0)
        spent = dict.fromkeys(self.seconds, 0.0)
        for seed in self._seeds:
            model = self._build(self._space, arch, seed).to(self._device)
            with Probe(model, self._x, self._y, mask=self._mask, seed=seed) as probe:
                scores, seconds = score(probe, self._proxies)
            for name in scores:
                total[name] += scores[name] / len(self._seeds)
                spent[name] += seconds[name]
        for name in spent:
            self.seconds[name].append(spent[name])
        return total
