from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.errors import UsageError
from nas.supernets.layers import ElasticBatchNorm
from nas.supernets.statistics import Statistics
from tests.supernets.layers.extraction import check_own_copy


@pytest.fixture
def norm(generator: torch.Generator) -> ElasticBatchNorm:
    norm = ElasticBatchNorm(6, "n", eps=1e-3)
    norm.weight.data = torch.rand(6, generator=generator) + 0.5
    norm.bias.data = torch.randn(6, generator=generator)
    return norm


def test_three_ways(norm: ElasticBatchNorm, generator: torch.Generator) -> None:
    reference = nn.BatchNorm2d(4, eps=1e-3).train()
    reference.weight.data, reference.bias.data = norm.weight.data[:4], norm.bias.data[:4]
    x = 3 * torch.randn(5, 4, 3, 3, generator=generator) + 2
    torch.testing.assert_close(norm.by_batch(x), reference(x))
    y, mean, var = norm.measured(x)
    torch.testing.assert_close(y, norm.by_batch(x), rtol=0, atol=0)
    torch.testing.assert_close(mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(var, x.var((0, 2, 3), unbiased=False))
    torch.testing.assert_close(norm.by_given(x, mean, var), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_without_gradients_the_input_is_overwritten_with_the_same_values(
    form: torch.memory_format, norm: ElasticBatchNorm, generator: torch.Generator
) -> None:
    x = (3 * torch.randn(5, 6, 3, 3, generator=generator) + 2).contiguous(memory_format=form)
    expected = norm.measured(x)
    with torch.no_grad():
        again = x.clone()
        found = norm.measured(again)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert found[0].data_ptr() == again.data_ptr()


def test_folding_does_the_work_of_both(norm: ElasticBatchNorm, generator: torch.Generator) -> None:
    x, weight = torch.randn(3, 5, 4, 4, generator=generator), torch.randn(6, 5, 1, 1, generator=generator)
    y, mean, var = norm.measured(torch.nn.functional.conv2d(x, weight))
    folded = torch.nn.functional.conv2d(x, *norm.folded(weight, mean, var))
    torch.testing.assert_close(folded, y, rtol=1e-4, atol=1e-4)


def test_extracted_with_and_without_statistics(norm: ElasticBatchNorm, generator: torch.Generator) -> None:
    x = 3 * torch.randn(5, 4, 3, 3, generator=generator) + 2
    y, mean, var = norm.measured(x)
    plain = norm.extract(4)
    assert isinstance(plain, nn.BatchNorm2d)
    assert not plain.running_mean.any()
    torch.testing.assert_close(plain(x), y)
    calibrated = norm.extract(4, Statistics({"n": (mean, var)}, 5)).eval()
    torch.testing.assert_close(calibrated(x), y, rtol=1e-4, atol=1e-5)
    mean += 1
    torch.testing.assert_close(calibrated(x), y, rtol=1e-4, atol=1e-5)
    check_own_copy(norm, calibrated)
    with pytest.raises(UsageError, match="'n'"):
        norm.extract(4, Statistics({}, 5))
