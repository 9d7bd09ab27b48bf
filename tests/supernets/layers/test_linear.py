from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.supernets.layers import ElasticLinear, initialise
from tests.supernets.layers.extraction import check_own_copy, draws_nothing


@pytest.mark.parametrize("bias", [True, False])
def test_first_inputs_and_outputs_in_place_and_extracted(*, bias: bool, generator: torch.Generator) -> None:
    layer = ElasticLinear(6, 8, bias=bias)
    initialise(layer, generator)
    if layer.bias is not None:
        layer.bias.data = torch.randn(8, generator=generator)
    x = torch.randn(3, 4, generator=generator)
    expected = x @ layer.weight[:5, :4].T + (layer.bias[:5] if layer.bias is not None else 0)
    torch.testing.assert_close(layer(x, 5), expected)
    before = torch.get_rng_state()
    extracted = layer.extract(4, 5)
    assert draws_nothing(before)
    assert isinstance(extracted, nn.Linear)
    assert (extracted.bias is not None) == bias
    torch.testing.assert_close(extracted(x), expected)
    check_own_copy(layer, extracted)
