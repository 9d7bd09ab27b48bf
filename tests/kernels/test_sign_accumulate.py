from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UsageError
from nas.kernels import sign_accumulate
from nas.kernels.sign_accumulate import conv2d_signs, conv2d_signs_reference, linear_signs, linear_signs_reference
from tests.kernels.convolutions import (
    LARGE,
    WIDE,
    Convolution,
    convolutions,
    flipped_share,
    integers,
    naive_conv2d_signs,
    naive_linear_signs,
)

ROOT = Path(__file__).parents[2]
TRITON = importlib.util.find_spec("triton") is not None
lengths = st.integers(1, 6)


@given(convolutions())
@settings(max_examples=200, deadline=None)
def test_convolutions_equal_one_sample_after_the_other(case: Convolution) -> None:
    x, g = case.tensors()
    found = conv2d_signs(x, g, case.kernel, **case.settings)
    assert found.dtype == torch.int32
    assert found.equal(naive_conv2d_signs(x, g, case))


@pytest.mark.parametrize("case", WIDE, ids=range(len(WIDE)))
def test_larger_convolutions_equal_one_sample_after_the_other(case: Convolution) -> None:
    x, g = case.tensors()
    assert conv2d_signs(x, g, case.kernel, **case.settings).equal(naive_conv2d_signs(x, g, case))


@given(lengths, lengths, lengths, lengths, st.integers(0, 2**20))
@settings(deadline=None)
def test_linear_layers_equal_one_sample_after_the_other(n: int, length: int, k: int, m: int, seed: int) -> None:
    x, g = integers((n, length, k), seed), integers((n, length, m), seed + 1)
    assert linear_signs(x, g).equal(naive_linear_signs(x, g))


@given(lengths, lengths, lengths, st.integers(0, 2**20))
@settings(deadline=None)
def test_one_position_is_many_of_which_one_is_not_zero(n: int, k: int, m: int, seed: int) -> None:
    x, g = integers((n, 1, k), seed), integers((n, 1, m), seed + 1)
    many = [torch.cat([tensor, torch.zeros_like(tensor)], 1) for tensor in (x, g)]
    assert linear_signs(x, g).equal(linear_signs(*many))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_other_types_give_the_signs_of_fp32(dtype: torch.dtype) -> None:
    for case in WIDE:
        x, g = case.tensors()
        found = conv2d_signs(x.to(dtype), g.to(dtype), case.kernel, **case.settings)
        assert found.equal(conv2d_signs(x, g, case.kernel, **case.settings))
        assert conv2d_signs(x, g.to(dtype), case.kernel, **case.settings).equal(found)


def test_half_precision_loses_neither_small_sums_nor_many_samples() -> None:
    x, g = torch.full((3000, 2, 1), 2.0**-14).half(), torch.full((3000, 2, 1), 2.0**-14).half()
    assert linear_signs(x, g).tolist() == [[3000]]  # the products, 2^-28, are zero in fp16
    assert linear_signs(x[:, :1].bfloat16(), g[:, :1].bfloat16()).tolist() == [[3000]]


def test_how_many_samples_a_chunk_holds_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, g = integers((5, 4, 3), 0), integers((5, 4, 2), 1)
    whole = [conv2d_signs(*case.tensors(), case.kernel, **case.settings) for case in WIDE] + [linear_signs(x, g)]
    for size in (1, 20_000, 50_000):
        monkeypatch.setattr(sign_accumulate, "CHUNK_BYTES", size)
        cut = [conv2d_signs(*case.tensors(), case.kernel, **case.settings) for case in WIDE] + [linear_signs(x, g)]
        assert all(a.equal(b) for a, b in zip(cut, whole, strict=True))


def test_random_numbers_differ_by_rounding_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    for case in WIDE:
        x, g = (torch.randn(tensor.shape, generator=generator) for tensor in case.tensors())
        found = conv2d_signs(x, g, case.kernel, **case.settings)
        assert flipped_share(found, naive_conv2d_signs(x, g, case), len(x)) <= 1e-4


@pytest.mark.parametrize("length", [1, 3])
def test_a_sum_of_zero_or_that_is_no_number_counts_0(length: int) -> None:
    x, g = torch.ones(2, length, 3), torch.ones(2, length, 2)
    x[:, :, 0] = 0
    x[1, 0, 1] = torch.nan
    g[0, :, 1] = 0
    assert linear_signs(x, g).tolist() == [[0, 1, 2], [0, 0, 1]]


def test_a_map_that_is_no_number_counts_0() -> None:
    for case in WIDE:
        x, g = case.tensors()
        x[1] = torch.nan
        rest = conv2d_signs(x[[0, 2]], g[[0, 2]], case.kernel, **case.settings)
        assert conv2d_signs(x, g, case.kernel, **case.settings).equal(rest)


def test_no_graph_is_kept() -> None:
    x, g = integers((2, 3, 4), 0).requires_grad_(), integers((2, 3, 5), 1).requires_grad_()
    assert not linear_signs(x, g).requires_grad


def test_what_does_not_fit_together_is_refused_in_one_line() -> None:
    x, g = torch.ones(2, 3, 4), torch.ones(2, 3, 5)
    maps, settings = torch.ones(2, 4, 5, 5), LARGE.settings
    calls: dict[str, Any] = {
        "inputs of a floating-point type, not torch.int64": lambda: linear_signs(x.long(), g),
        "gradients of a floating-point type, not torch.bool": lambda: linear_signs(x, g.bool()),
        "2 samples of inputs and 1 of gradients": lambda: linear_signs(x, g[:1]),
        "3 positions a sample and gradients 2": lambda: linear_signs(x, g[:, :2]),
        "gradients on meta": lambda: linear_signs(x, g.to("meta")),
        "maps of 5x5": lambda: conv2d_signs(maps, maps[..., :4], (3, 3), **settings),
        "in 3 groups": lambda: conv2d_signs(maps, maps, (3, 3), **settings | {"groups": 3}),
        "does not take torch.float64|needs triton": lambda: linear_signs(x.double(), g, triton=True),
    }
    for message, call in calls.items():
        with pytest.raises(UsageError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_the_kernel_is_refused_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(2, 3, 4)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UsageError, match="needs CUDA, or TRITON_INTERPRET=1" if TRITON else "needs triton"):
        linear_signs(x, x, triton=True)


def test_on_the_cpu_the_reference_runs_unless_the_kernel_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    x = torch.ones(2, 3, 4)
    assert linear_signs(x, x).equal(linear_signs_reference(x, x))
    maps, g = LARGE.tensors()
    found = conv2d_signs(maps, g, LARGE.kernel, **LARGE.settings, triton=False)
    assert found.equal(conv2d_signs_reference(maps, g, LARGE.kernel, **LARGE.settings))


def interprets() -> bool:
    """Whether triton can use this numpy (triton-lang/triton issue 9171)."""
    versions = [importlib.metadata.version(name).split(".")[:2] for name in ("triton", "numpy")]
    triton, numpy = (tuple(map(int, version)) for version in versions)
    return triton >= (3, 7) or numpy < (2, 4)


@pytest.mark.skipif(not TRITON, reason="triton is not installed")
@pytest.mark.parametrize("device", ["interpreter", "cuda"])
def test_the_kernel_equals_the_reference(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    if device == "interpreter" and not interprets():
        pytest.skip("triton before 3.7 does not interpret loops with numpy 2.4 or newer")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    if device == "interpreter":
        environment["TRITON_INTERPRET"] = "1"
    # The warnings that pytest makes errors are triton's own here.
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-W", "default"]
    done = subprocess.run(
        [*command, "tests/kernels/kernel_checks.py"], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
