from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nas.proxies
from nas.errors import UnknownName, UsageError
from nas.evaluation.metrics import DECLARED
from nas.objectives import Metric, Objective
from nas.proxies import BASELINES, PROXIES, SCORES, Probe, Proxy, resolve, score


def model_and_batch() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(3, 2), torch.randn(4, 3), torch.arange(4) % 2


def weights(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(sum(p.numel() for p in model.parameters()))


@pytest.mark.parametrize("name", PROXIES)
def test_every_line_of_the_registry_names_a_proxy_of_that_name(name: str) -> None:
    proxy = nas.proxies.get(name)
    assert isinstance(proxy, Proxy)
    assert proxy.name == name
    assert DECLARED[name] == proxy.metric


def test_scores_are_better_where_they_are_higher_and_costs_where_they_are_lower() -> None:
    assert (*BASELINES, *SCORES) == tuple(PROXIES)
    assert all(nas.proxies.get(name).metric.direction == "max" for name in SCORES)
    assert [Objective.parse(name).direction for name in BASELINES] == ["min", "min"]


def test_a_proxy_is_a_function_of_a_module_and_a_batch() -> None:
    model, x, y = model_and_batch()
    with Probe(model, x, y) as probe:
        assert nas.proxies.get("snip")(model, x, y) == nas.proxies.get("snip").score(probe)


def test_own_proxies_stand_beside_names() -> None:
    model, x, y = model_and_batch()
    logits = Proxy(Metric("logit_sum", "max"), lambda probe: probe.model(probe.x).sum().item())
    with Probe(model, x, y) as probe:
        scores, seconds = score(probe, ["params", logits, weights])
    assert scores == {"params": 8.0, "logit_sum": model(x).sum().item(), "weights": 8.0}
    assert seconds.keys() == scores.keys()


def test_names_that_are_not_to_be_had() -> None:
    with pytest.raises(UnknownName, match="gradsign"):
        resolve(["gradsing"])
    with pytest.raises(UsageError, match="ntk_condition, linear_regions"):
        resolve(["te_nas"])
    with pytest.raises(UsageError, match="needs a name"):
        resolve([lambda model, x, y: 0.0])
    with pytest.raises(UsageError, match="two proxies are called 'snip'"):
        resolve(["snip", Proxy(Metric("snip", "max"), lambda probe: 0.0)])
    assert [proxy.name for proxy in resolve(["snip", "plain", "snip"])] == ["snip", "plain"]
