"""Small convolutions, their tensors of small integers, and their signs the slow way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from hypothesis import strategies as st
from torch import Tensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """All sums of its small integers are exact in fp32, so that signs may be compared one by one."""

    samples: int
    channels: int
    outputs: int
    groups: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    size: Pair
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def tensors(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Inputs and gradients of the outputs; some channels of either are zero."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.randint(-2, 3, (self.samples, self.channels, *self.size), generator=generator).to(dtype)
        weight = x.new_zeros(self.outputs, self.channels // self.groups, *self.kernel)
        shape = F.conv2d(x.float(), weight.float(), **self.settings).shape
        g = torch.randint(-2, 3, shape, generator=generator).to(dtype)
        for tensor in (x, g):
            tensor *= (torch.rand(tensor.shape[:2], generator=generator) > 0.2).to(dtype)[..., None, None]
        return x, g


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


@st.composite
def convolutions(draw: st.DrawFn, most: int = 6) -> Convolution:
    """Any, with up to `most` channels a side; every third depthwise."""
    pair = lambda values: st.tuples(st.sampled_from(values), st.sampled_from(values))
    kernel, dilation, padding = draw(pair((1, 3, 5))), draw(pair((1, 2))), draw(pair((0, 1, 2)))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = tuple(draw(st.integers(low, low + 4)) for low in least)
    groups = draw(st.integers(1, most))
    per_group = draw(st.integers(1, max(1, most // groups)))
    channels = groups if draw(st.integers(0, 2)) == 0 else groups * per_group
    outputs = groups * draw(st.integers(1, max(1, most // groups)))
    return Convolution(
        draw(st.integers(1, 5)), channels, outputs, groups, kernel, draw(pair((1, 2))), padding, dilation, size,
        draw(st.integers(0, 2**20)),
    )  # fmt: skip


# Larger than a tile in every way, with whole and broken tiles; grouped; depthwise; a map that one step covers.
LARGE = Convolution(3, 16, 70, 1, (3, 3), (1, 1), (1, 1), (1, 1), (7, 9), 0)
WIDE = (
    LARGE,
    replace(LARGE, channels=40, outputs=64, groups=2, stride=(2, 1), dilation=(1, 2)),
    replace(LARGE, channels=8, outputs=16, groups=8, kernel=(5, 3), padding=(2, 0)),
    replace(LARGE, channels=80, outputs=16, kernel=(1, 1), padding=(0, 0), size=(1, 1)),
    replace(LARGE, channels=64, outputs=32, kernel=(1, 1), padding=(0, 0), size=(8, 8)),
    replace(LARGE, kernel=(1, 1), padding=(1, 1), stride=(2, 2)),
)


def naive_conv2d_signs(x: Tensor, g: Tensor, case: Convolution) -> Tensor:
    """One sample after the other, by torch's own gradient of the weight."""
    weight = torch.zeros(case.outputs, case.channels // case.groups, *case.kernel, dtype=torch.float64)
    found = torch.zeros_like(weight, dtype=torch.int32)
    for i in range(len(x)):
        w = weight.clone().requires_grad_()
        out = F.conv2d(x[i : i + 1].double(), w, **case.settings)
        found += torch.autograd.grad(out, w, g[i : i + 1].double())[0].sign().int()
    return found


def naive_linear_signs(x: Tensor, g: Tensor) -> Tensor:
    """One sample after the other, by torch's own gradient of the weight."""
    found = torch.zeros(g.shape[2], x.shape[2], dtype=torch.int32)
    for a, b in zip(x.double(), g.double(), strict=True):
        w = torch.zeros(found.shape, dtype=torch.float64, requires_grad=True)
        found += torch.autograd.grad(F.linear(a, w), w, b)[0].sign().int()
    return found


def integers(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """From -2 to 2."""
    return torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def flipped_share(found: Tensor, expected: Tensor, samples: int) -> float:
    """At least as large as the share of all signs that are opposite."""
    return float((found - expected).abs().sum(dtype=torch.float64)) / 2 / samples / found.numel()
