from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import nas.proxies
from nas.errors import UnknownName, UsageError
from nas.evaluation import Failure, ProxyEvaluator
from nas.objectives import Metric
from nas.proxies import Proxy
from nas.search_spaces import Architecture, SearchSpace, get
from nas.supernets import network
from nas.task import ImageClassification

SPACE = get("nasbench201", task=ImageClassification(8, 1, 4), preset="tiny")


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4


def test_scores_are_those_of_fresh_networks() -> None:
    x, y = batch()
    archs = [SPACE.largest(), SPACE.smallest(), SPACE.largest()]
    found = ProxyEvaluator(SPACE, ["gradsign", "snip"], x, y, seed=3).evaluate(archs)
    for arch, scores in zip(archs, found, strict=True):
        model = network(SPACE, arch, seed=3)
        assert scores == {name: nas.proxies.get(name)(model, x, y) for name in ("gradsign", "snip")}


def test_several_initialisations_are_averaged() -> None:
    x, y = batch()
    arch = SPACE.largest()
    (found,) = ProxyEvaluator(SPACE, ["gradsign"], x, y, seed=1, repeats=3).evaluate([arch])
    each = [nas.proxies.gradsign(network(SPACE, arch, seed=seed), x, y) for seed in (1, 2, 3)]
    assert found == {"gradsign": pytest.approx(sum(each) / 3)}


def test_identical_architectures_are_scored_once() -> None:
    built: list[Architecture] = []

    def build(space: SearchSpace, arch: Architecture, seed: int) -> nn.Module:
        built.append(arch)
        return network(space, arch, seed=seed)

    x, y = batch()
    evaluator = ProxyEvaluator(SPACE, ["snip"], x, y, build=build)
    first = evaluator.evaluate([SPACE.largest(), SPACE.largest()])
    assert evaluator.evaluate([SPACE.largest()]) == first[:1]
    assert built == [SPACE.largest()]
    first[0]["snip"] = 0.0  # type: ignore[index]
    assert evaluator.evaluate([SPACE.largest()]) == first[1:]


def test_what_has_no_finite_score_is_a_failure() -> None:
    def build(space: SearchSpace, arch: Architecture, seed: int) -> nn.Module:
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        with torch.no_grad():
            model[1].weight.fill_(math.nan)
        return model

    x, y = batch()
    evaluator = ProxyEvaluator(SPACE, ["snip"], x, y, build=build)
    assert evaluator.evaluate([SPACE.largest()]) == [Failure("snip is not finite")]
    assert math.isnan(evaluator.raw(SPACE.largest())["snip"])


def test_own_proxies_are_metrics_under_their_names() -> None:
    def width(model: nn.Module, x: Tensor, y: Tensor) -> float:
        return float(model(x).shape[1])

    x, y = batch()
    own = Proxy(Metric("seeded", "max"), lambda probe: float(probe.seed))
    (outcome,) = ProxyEvaluator(SPACE, ["snip", own, width], x, y, seed=5).evaluate([SPACE.largest()])
    assert isinstance(outcome, dict)
    assert (list(outcome), outcome["seeded"], outcome["width"]) == (["snip", "seeded", "width"], 5.0, 4.0)


def test_errors() -> None:
    x, y = batch()
    with pytest.raises(UnknownName, match="gradsign"):
        ProxyEvaluator(SPACE, ["gradsing"], x, y)
    with pytest.raises(UsageError, match="ranks a set"):
        ProxyEvaluator(SPACE, ["az_nas"], x, y)
    with pytest.raises(UsageError, match="at least 1"):
        ProxyEvaluator(SPACE, ["snip"], x, y, repeats=0)
    with pytest.raises(UsageError, match="feed-forward"):
        ProxyEvaluator(SPACE, ["wpca"], x, y).evaluate([SPACE.largest()])
