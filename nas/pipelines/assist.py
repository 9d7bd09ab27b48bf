"""A searcher by name or as an object, with a proxy beside it that picks among its proposals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.pipelines.inputs import ScoringInputs
    from nas.proxies.proxy import ProxyLike
    from nas.search_spaces import Architecture
    from nas.searchers import Builder, Strategy

OFFSPRING = 12  # of one parent, of which the best of 10 different ones is evaluated


def searcher_builder(searcher: str | Strategy | Builder) -> Builder:
    """What makes the searcher for its goals.

    Raises:
        UnknownName: No such searcher.
    """
    from nas import searchers
    from nas.searchers import Searcher, Strategy

    if isinstance(searcher, str):
        return searchers.get(searcher)
    return partial(Searcher, strategy=searcher) if isinstance(searcher, Strategy) else searcher


def searcher_name(searcher: str | Strategy | Builder) -> str:
    """What documents call it."""
    from nas.searchers import Strategy

    if isinstance(searcher, str):
        return searcher
    return type(searcher).__name__ if isinstance(searcher, Strategy) else "own"


def proxy_name(proxy: ProxyLike) -> str:
    """The name of a proxy that scores networks one by one.

    Raises:
        UnknownName: There is no such proxy.
        UsageError: It ranks sets, or is a function without a name.
    """
    from nas.proxies import resolve

    return resolve([proxy])[0].name


def assisted(
    searcher: str | Strategy | Builder, proxy: ProxyLike, inputs: Callable[[], ScoringInputs], *, device: str, seed: int
) -> Builder:
    """The searcher with a proxy beside it: of ten proposals the best by the score is evaluated.

    Args:
        searcher: A name or a strategy.
        proxy: As for `nas.proxies.resolve`.
        inputs: Gives the batch that is scored.
        device: Where to score.
        seed: Of the weights that are scored.

    Raises:
        UnknownName: No such searcher or proxy.
        UsageError: A proxy that ranks sets, or a searcher whose strategy is not known.
    """
    from nas import searchers
    from nas.evaluation.proxy_evaluator import ProxyEvaluator
    from nas.searchers import SEARCHERS, Assisted, Evolution, Searcher, Strategy

    if isinstance(searcher, str):
        searchers.get(searcher)
        inner = SEARCHERS[searcher]
    elif isinstance(searcher, Strategy):
        inner = searcher
    else:
        raise UsageError("a proxy can assist a strategy, and this searcher is a function; give its strategy")
    batch, name = inputs(), proxy_name(proxy)
    evaluator = ProxyEvaluator(batch.space, [proxy], batch.x, batch.y, device=device, seed=seed)

    def score(archs: Sequence[Architecture]) -> list[float]:
        return [evaluator.raw(arch)[name] for arch in archs]

    alone = 0
    if isinstance(inner, Evolution):
        inner, alone = replace(inner, offspring=OFFSPRING), inner.population
    what = f"{name} of {len(batch.x)} from {batch.spec}, seed {seed}"
    return partial(Searcher, strategy=Assisted(inner, score, alone=alone, name=what))
