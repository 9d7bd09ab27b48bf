from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from nas.networks.layers import SqueezeExcitation
from nas.supernets.layers import ElasticSqueezeExcitation, initialise
from tests.supernets.layers.extraction import check_own_copy


def test_gates_of_the_first_channels_in_place_and_extracted(generator: torch.Generator) -> None:
    gate = ElasticSqueezeExcitation(8, 4)
    initialise(gate, generator)
    maps = torch.randn(2, 6, 3, 3, generator=generator)
    hidden = F.relu(F.linear(maps.mean((2, 3)), gate.reduce.weight[:2, :6]))
    scale = F.hardsigmoid(F.linear(hidden, gate.expand.weight[:6, :2]))
    expected = maps * scale[:, :, None, None]
    torch.testing.assert_close(gate(maps, 2), expected)
    extracted = gate.extract(6, 2)
    assert isinstance(extracted, SqueezeExcitation)
    torch.testing.assert_close(extracted(maps), expected)
    check_own_copy(gate, extracted)


def test_without_gradients_the_map_is_overwritten(generator: torch.Generator) -> None:
    gate = ElasticSqueezeExcitation(8, 4)
    initialise(gate, generator)
    for form in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(5, 6, 3, 3, generator=generator).contiguous(memory_format=form)
        expected = gate(x, 3)
        with torch.no_grad():
            again = x.clone()
            found = gate(again, 3)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert found.data_ptr() == again.data_ptr()
