from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.kernels.convolution import Fused, Plain, activated, prepacked
from nas.search_spaces.mobilenet.plan import Activation

PROPERTY = settings(max_examples=80, deadline=None, derandomize=True)
FUSED = pytest.mark.skipif(not torch.backends.mkldnn.enabled, reason="this torch has no oneDNN")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@FUSED
@PROPERTY
@given(
    seed=st.integers(0, 2**16),
    images=st.integers(1, 5),
    size=st.integers(1, 7),
    channels=st.sampled_from([(1, 8), (3, 5), (16, 1), (12, 48)]),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    depthwise=st.booleans(),
    biased=st.booleans(),
    activation=st.sampled_from([None, "relu", "hswish"]),
    narrowed=st.booleans(),
)
def test_fused_kernels_compute_what_torch_computes(
    seed: int, images: int, size: int, channels: tuple[int, int], kernel: int, stride: int, *,
    depthwise: bool, biased: bool, activation: Activation | None, narrowed: bool,
) -> None:  # fmt: skip
    into, out = channels
    out, groups = (into, into) if depthwise else (out, 1)
    x = drawn(seed, images, into + 4 * narrowed, size, size).contiguous(memory_format=torch.channels_last)[:, :into]
    weight, bias = drawn(seed + 1, out, into // groups, kernel, kernel), drawn(seed + 2, out) if biased else None
    with torch.no_grad():
        fast = prepacked(weight, bias, x, stride=stride, groups=groups)
        expected = Plain(weight, bias, stride, groups)(x, activation)
        assert isinstance(fast, Fused)
        for count in (images, 1):  # later batches may be smaller than the one that it was prepacked for
            found = fast(x[:count], activation)
            torch.testing.assert_close(found, expected[:count], rtol=1e-4, atol=1e-4)
            assert found.is_contiguous(memory_format=torch.channels_last)


def test_what_oneDNN_cannot_do_is_left_to_torch() -> None:  # noqa: N802  # its name
    x, weight = drawn(0, 2, 3, 4, 4), drawn(1, 5, 3, 1, 1)
    assert isinstance(prepacked(weight, None, x, stride=1, groups=1), Plain)  # gradients
    with torch.no_grad():
        assert isinstance(prepacked(weight.double(), None, x.double(), stride=1, groups=1), Plain)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert isinstance(prepacked(weight, None, x, stride=1, groups=1), Plain)
        torch._C._set_mkldnn_enabled(False)  # as `torch.backends.mkldnn.enabled = False`, without its warnings
        try:
            assert isinstance(prepacked(weight, None, x, stride=1, groups=1), Plain)
        finally:
            torch._C._set_mkldnn_enabled(True)


def test_the_input_stays_as_it_was() -> None:
    x, weight = drawn(0, 2, 3, 4, 4), drawn(1, 3, 3, 3, 3)
    before = x.clone()
    with torch.no_grad():
        for made in (Plain(weight, None, 1, 1), prepacked(weight, None, x, stride=1, groups=1)):
            made(x, "relu")
            assert torch.equal(x, before)


def test_nonlinearities() -> None:
    x = drawn(0, 50)
    torch.testing.assert_close(activated(x.clone(), "relu"), x.clamp(min=0))
    torch.testing.assert_close(activated(x.clone(), "hswish"), x * (x + 3).clamp(0, 6) / 6)
    assert activated(x, None) is x
