from __future__ import annotations

import pytest
import torch

from nas.cluster.proxy_pool import build_proxy_evaluator, proxy_pool
from nas.errors import UnknownName, UsageError
from nas.evaluation.proxy_evaluator import ProxyEvaluator
from nas.objectives import Metric
from nas.proxies import Proxy
from nas.search_spaces import get
from nas.task import ImageClassification

SPACE = get("nasbench201", task=ImageClassification(8, 1, 4), preset="tiny")


def test_a_worker_builds_what_the_driver_would() -> None:
    x, y = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    there = build_proxy_evaluator(SPACE.to_json(), ["snip"], x.numpy(), y.numpy(), "cpu", 3)
    archs = [SPACE.largest(), SPACE.smallest()]
    assert there.evaluate(archs) == ProxyEvaluator(SPACE, ["snip"], x, y, seed=3).evaluate(archs)
    assert there.totals.architectures == 2


def test_own_proxies_travel_to_workers() -> None:
    from ray import cloudpickle

    own = Proxy(Metric("seeded", "max"), lambda probe: float(probe.seed))
    x, y = torch.randn(8, 1, 8, 8), torch.arange(8) % 4
    travelled = cloudpickle.loads(cloudpickle.dumps(["snip", own]))
    there = build_proxy_evaluator(SPACE.to_json(), travelled, x.numpy(), y.numpy(), "cpu", 3)
    (outcome,) = there.evaluate([SPACE.smallest()])
    assert isinstance(outcome, dict)
    assert (list(outcome), outcome["seeded"]) == (["snip", "seeded"], 3.0)


@pytest.mark.parametrize(("name", "error"), [("gradsing", UnknownName), ("az_nas", UsageError)])
def test_names_are_refused_before_workers_start(name: str, error: type[Exception]) -> None:
    x, y = torch.randn(8, 1, 8, 8), torch.arange(8) % 4
    with pytest.raises(error):
        proxy_pool(SPACE, [name], x, y, workers=1)
