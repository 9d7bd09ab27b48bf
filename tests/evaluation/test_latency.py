from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.errors import UsageError
from nas.evaluation import LatencyEvaluator, measure_latency
from nas.supernets import MobileNetSupernet
from nas.task import ImageClassification
from tests.spaces import SPACES


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.threads: set[int] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.threads.add(torch.get_num_threads())
        assert x.shape == (3, 1, 4, 4)
        return x


def test_warm_up_is_not_measured_and_threads_are_restored() -> None:
    network, before = Counting(), torch.get_num_threads()
    found = measure_latency(network, ImageClassification(4, 1, 2), batch=3, threads=before + 1, warm_up=4, passes=9)
    assert network.calls == 13
    assert network.threads == {before + 1}
    assert torch.get_num_threads() == before
    assert found.passes == 9
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms


def test_a_measured_network_can_still_be_trained() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    measure_latency(network, ImageClassification(5, 3, 2), passes=1)
    network.train()(torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_evaluator_measures_identical_members_once() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    archs = [supernet.space.largest(), supernet.space.smallest(), supernet.space.largest()]
    one, two, three = LatencyEvaluator(supernet).evaluate(archs)
    assert one == three
    assert set(one) == {"latency_ms"}
    assert two["latency_ms"] > 0


def test_wrong_counts() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        measure_latency(nn.Identity(), ImageClassification(4, 1, 2), batch=0)
