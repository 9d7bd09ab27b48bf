"""The Triton kernel against the reference, on CUDA or, with TRITON_INTERPRET=1, on the CPU.

`test_sign_accumulate.py` runs this file in a process of its own: triton decides when it is loaded whether it
interprets, and other tests may have loaded it.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nas.kernels.sign_accumulate import conv2d_signs, conv2d_signs_reference, linear_signs, linear_signs_reference
from nas.kernels.sign_accumulate_triton import count_signs
from tests.kernels.convolutions import LARGE, WIDE, Convolution, convolutions, flipped_share, integers

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def equal_on(case: Convolution, dtype: torch.dtype = torch.float32) -> None:
    x, g = (tensor.to(DEVICE) for tensor in case.tensors(dtype))
    found = conv2d_signs(x, g, case.kernel, **case.settings, triton=True)
    assert found.dtype == torch.int32
    assert found.equal(conv2d_signs_reference(x, g, case.kernel, **case.settings))


@given(convolutions())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_convolutions_equal_the_reference(case: Convolution) -> None:
    equal_on(case)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", WIDE, ids=range(len(WIDE)))
def test_convolutions_larger_than_a_tile_equal_the_reference(case: Convolution, dtype: torch.dtype) -> None:
    equal_on(case, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("samples", "length", "k", "m"), [(1, 1, 1, 1), (4, 1, 70, 20), (3, 5, 17, 80), (2, 70, 64, 16)]
)
def test_linear_layers_equal_the_reference(samples: int, length: int, k: int, m: int, dtype: torch.dtype) -> None:
    x, g = integers((samples, length, k), 0, dtype).to(DEVICE), integers((samples, length, m), 1, dtype).to(DEVICE)
    assert linear_signs(x, g, triton=True).equal(linear_signs_reference(x, g))


@given(st.integers(1, 9))
@settings(max_examples=9, deadline=None)
def test_into_how_many_parts_the_samples_are_divided_changes_nothing(parts: int) -> None:
    x, g = integers((7, 20, 33, 1), 0).to(DEVICE), integers((7, 18, 33), 1).to(DEVICE)
    assert count_signs(x, g, parts=parts).equal(linear_signs_reference(x.squeeze(3).mT, g.mT))


def test_any_strides_will_do() -> None:
    x, g = (tensor.to(DEVICE) for tensor in LARGE.tensors())
    expected = conv2d_signs_reference(x, g, LARGE.kernel, **LARGE.settings)
    last = {"memory_format": torch.channels_last}
    apart = torch.stack([x, -x], -1)[..., 0]
    for a, b in ((x.contiguous(**last), g), (x, g.contiguous(**last)), (apart, g)):
        assert conv2d_signs(a, b, LARGE.kernel, **LARGE.settings, triton=True).equal(expected)
    pooled = g[..., :1, :1].expand_as(g)
    expected = conv2d_signs_reference(x, pooled, LARGE.kernel, **LARGE.settings)
    assert conv2d_signs(x, pooled, LARGE.kernel, **LARGE.settings, triton=True).equal(expected)


def test_random_numbers_differ_by_rounding_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x, g = (torch.randn(tensor.shape, generator=generator).to(DEVICE) for tensor in LARGE.tensors())
    found = conv2d_signs(x, g, LARGE.kernel, **LARGE.settings, triton=True)
    expected = conv2d_signs_reference(x.double(), g.double(), LARGE.kernel, **LARGE.settings)
    assert flipped_share(found, expected, len(x)) <= 1e-4


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_sum_that_is_no_number_counts_0(value: float) -> None:
    x, g = integers((3, 6, 5), 0).to(DEVICE), integers((3, 6, 4), 1).to(DEVICE)
    x[1, 2, 3] = value
    assert linear_signs(x, g, triton=True).equal(linear_signs_reference(x, g))


@pytest.mark.parametrize("shapes", [((0, 3, 4), (0, 3, 2)), ((2, 0, 4), (2, 0, 2)), ((2, 3, 4), (2, 3, 0))])
def test_nothing_counts_0(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, g = (torch.ones(shape, device=DEVICE) for shape in shapes)
    found = linear_signs(x, g, triton=True)
    assert found.shape == (g.shape[2], x.shape[2])
    assert not found.any()


def test_the_inputs_stay_as_they_are() -> None:
    x, g = (tensor.to(DEVICE) for tensor in LARGE.tensors())
    before: list[Tensor] = [x.clone(), g.clone()]
    conv2d_signs(x, g, LARGE.kernel, **LARGE.settings, triton=True)
    assert x.equal(before[0])
    assert g.equal(before[1])
