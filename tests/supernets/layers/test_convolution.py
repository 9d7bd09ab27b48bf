from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from nas.kernels.convolution import activated
from nas.search_spaces.mobilenet.plan import Activation
from nas.supernets.layers import (
    ElasticBatchNorm,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    conv_norm_activation,
    initialise,
)
from nas.supernets.layers.convolution import centre_crop
from nas.supernets.statistics import Statistics
from nas.supernets.steps import Context, Prepared, by_batch, by_statistics
from tests.supernets.layers.extraction import check_own_copy, draws_nothing


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


@pytest.mark.parametrize("channels", [(4, 5), (6, 8)])
def test_extracted_convolution(channels: tuple[int, int], generator: torch.Generator) -> None:
    layer = ElasticConv2d(6, 8, kernel=3, stride=2)
    initialise(layer, generator)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = torch.get_rng_state()
    extracted = layer.extract(*channels)
    assert draws_nothing(before)
    assert isinstance(extracted, nn.Conv2d)
    x = torch.randn(2, channels[0], 7, 7, generator=generator)
    torch.testing.assert_close(extracted(x), layer(x, channels[1]), rtol=1e-5, atol=1e-6)
    check_own_copy(layer, extracted)


@pytest.mark.parametrize("transform", [False, True])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_extracted_depthwise_convolution(kernel: int, *, transform: bool, generator: torch.Generator) -> None:
    layer = ElasticDepthwiseConv2d(6, (3, 5, 7), 2, transform=transform)
    initialise(layer, generator)
    for matrix in layer.transforms.values():
        matrix.data = torch.randn(matrix.shape, generator=generator)
    extracted = layer.extract(4, kernel)
    assert extracted.kernel_size == (kernel, kernel)
    x = torch.randn(2, 4, 9, 9, generator=generator)
    torch.testing.assert_close(extracted(x), layer(x, kernel))
    check_own_copy(layer, extracted)


@pytest.fixture
def norm(generator: torch.Generator) -> ElasticBatchNorm:
    norm = ElasticBatchNorm(8, "n")
    norm.weight.data = torch.rand(8, generator=generator) + 0.5
    norm.bias.data = torch.randn(8, generator=generator)
    return norm


@pytest.mark.parametrize("activation", [None, "relu", "hswish"])
def test_every_way_of_a_unit_computes_the_same(
    activation: Activation | None, norm: ElasticBatchNorm, generator: torch.Generator
) -> None:
    """Against the layers one after the other: plain, prepared, folded, and folded from what was prepared."""
    layer = ElasticConv2d(6, 8, kernel=3)
    initialise(layer, generator)
    x = torch.randn(5, 4, 7, 7, generator=generator)
    sliced = lambda: layer.sliced(4, 8)
    with torch.no_grad():
        y, mean, var = norm.measured(layer(x, 8))
        expected, statistics = activated(y, activation), Statistics({"n": (mean, var)}, 5)
        given = by_statistics(statistics)
        kept: dict[object, Prepared] = {}
        for context in (
            Context(by_batch),
            Context(given),
            Context(by_batch, folded=statistics),
            Context(given, prepared={}),
            Context(by_batch, folded=statistics, prepared=kept),
            Context(by_batch, folded=statistics, prepared=kept),
        ):
            found = conv_norm_activation(x, sliced, norm, activation, context)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_prepared_convolution_is_made_once_and_says_its_size(
    norm: ElasticBatchNorm, generator: torch.Generator
) -> None:
    layer, made = ElasticConv2d(6, 8, kernel=3), 0
    initialise(layer, generator)

    def sliced() -> torch.Tensor:
        nonlocal made
        made += 1
        return layer.sliced(6, 8)

    prepared: dict[object, Prepared] = {}
    with torch.no_grad():
        for _ in range(3):
            conv_norm_activation(torch.ones(2, 6, 4, 4), sliced, norm, None, Context(by_batch, prepared=prepared))
    assert made == 1
    assert prepared["n"].nbytes >= layer.weight.numel() * 4
