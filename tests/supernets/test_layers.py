from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from nas.supernets.layers import (
    ElasticBatchNorm,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticLinear,
    ElasticSqueezeExcitation,
    centre_crop,
    initialise,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_convolution_uses_first_channels(generator: torch.Generator) -> None:
    layer = ElasticConv2d(6, 8, kernel=3, stride=2)
    initialise(layer, generator)
    x = torch.randn(2, 4, 7, 7, generator=generator)
    expected = F.conv2d(x, layer.weight[:5, :4], stride=2, padding=1)
    torch.testing.assert_close(layer(x, 5), expected)


def test_identity_transform_equals_centre_crop(generator: torch.Generator) -> None:
    learned = ElasticDepthwiseConv2d(6, (3, 5, 7), 1, transform=True)
    plain = ElasticDepthwiseConv2d(6, (3, 5, 7), 1, transform=False)
    initialise(learned, generator)
    plain.weight.data.copy_(learned.weight.data)
    x = torch.randn(2, 4, 9, 9, generator=generator)
    assert sorted(learned.transforms) == ["3", "5"]
    for kernel in (3, 5, 7):
        torch.testing.assert_close(learned(x, kernel), plain(x, kernel), rtol=0, atol=1e-6)
        torch.testing.assert_close(plain.sliced(4, kernel), centre_crop(plain.weight[:4], kernel), rtol=0, atol=0)


def test_transforms_chain_from_the_next_bigger_kernel(generator: torch.Generator) -> None:
    """K5 = M5 vec(centre5(K7)), K3 = M3 vec(centre3(K5)), one matrix for all channels."""
    layer = ElasticDepthwiseConv2d(3, (3, 5, 7), 1, transform=True)
    initialise(layer, generator)
    for matrix in layer.transforms.values():
        matrix.data = torch.randn(matrix.shape, generator=generator)
    for channel in range(3):
        five = (layer.transforms["5"] @ layer.weight[channel, 0, 1:6, 1:6].reshape(25)).view(5, 5)
        three = (layer.transforms["3"] @ five[1:4, 1:4].reshape(9)).view(3, 3)
        torch.testing.assert_close(layer.sliced(3, 5)[channel, 0], five)
        torch.testing.assert_close(layer.sliced(3, 3)[channel, 0], three)


def test_linear_and_squeeze_excitation_slices(generator: torch.Generator) -> None:
    layer = ElasticLinear(6, 8, bias=True)
    initialise(layer, generator)
    assert layer.bias is not None
    x = torch.randn(3, 4, generator=generator)
    torch.testing.assert_close(layer(x, 5), x @ layer.weight[:5, :4].T + layer.bias[:5])
    gate = ElasticSqueezeExcitation(8, 4)
    initialise(gate, generator)
    maps = torch.randn(2, 6, 3, 3, generator=generator)
    hidden = F.relu(F.linear(maps.mean((2, 3)), gate.reduce.weight[:2, :6]))
    scale = F.hardsigmoid(F.linear(hidden, gate.expand.weight[:6, :2]))
    torch.testing.assert_close(gate(maps, 2), maps * scale[:, :, None, None])


def test_batch_norm_three_ways(generator: torch.Generator) -> None:
    norm = ElasticBatchNorm(6, "n")
    norm.weight.data = torch.rand(6, generator=generator) + 0.5
    norm.bias.data = torch.randn(6, generator=generator)
    reference = nn.BatchNorm2d(4).train()
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
    form: torch.memory_format, generator: torch.Generator
) -> None:
    norm, squeeze = ElasticBatchNorm(6, "n"), ElasticSqueezeExcitation(8, 4)
    norm.weight.data = torch.rand(6, generator=generator) + 0.5
    norm.bias.data = torch.randn(6, generator=generator)
    initialise(squeeze, generator)
    x = (3 * torch.randn(5, 6, 3, 3, generator=generator) + 2).contiguous(memory_format=form)
    expected_norm, expected_squeeze = norm.measured(x), squeeze(x, 3)
    with torch.no_grad():
        for found, expected in zip(norm.measured(x.clone()), expected_norm, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(squeeze(x.clone(), 3), expected_squeeze, rtol=1e-5, atol=1e-5)
        again = x.clone()
        assert norm.measured(again)[0].data_ptr() == squeeze(again, 3).data_ptr() == again.data_ptr()
