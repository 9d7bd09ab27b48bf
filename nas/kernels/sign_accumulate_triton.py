"""The kernel of `sign_accumulate`, in a module of its own because its first line loads triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PROGRAMS = 1024  # what keeps the largest GPUs busy; with fewer tiles the samples are divided
BLOCK = (16, 64)  # smallest side of a tile, by tl.dot; largest, by registers
BLOCK_L = 32  # positions a step
LAUNCH = {"num_warps": 8, "num_stages": 2}  # with fewer warps or more stages compilers for sm_80 and sm_90 spill


@triton.jit
def _kernel(
    counts: tl.tensor, x: tl.tensor, g: tl.tensor, samples: tl.tensor, positions: tl.tensor, columns: tl.tensor,
    outputs: tl.tensor, channels: tl.tensor, height: tl.tensor, width: tl.tensor, kernel_h: tl.tensor,
    kernel_w: tl.tensor, stride_h: tl.tensor, stride_w: tl.tensor, padding_h: tl.tensor, padding_w: tl.tensor,
    dilation_h: tl.tensor, dilation_w: tl.tensor, x_n: tl.tensor, x_c: tl.tensor, x_h: tl.tensor, x_w: tl.tensor,
    g_n: tl.tensor, g_m: tl.tensor, g_l: tl.tensor, padded: tl.constexpr, precision: tl.constexpr,
    block_m: tl.constexpr, block_k: tl.constexpr, block_l: tl.constexpr,
) -> None:  # fmt: skip
    """Adds the signs of one tile [block_m, block_k] of a group's weight gradient over a share of the samples.

    outputs and channels are those of one group; x_n and g_m are strides; positions are counted row by row.
    """
    taps = kernel_h * kernel_w
    fan_in = channels * taps
    tiles_k = tl.cdiv(fan_in, block_k)
    m = tl.program_id(0) // tiles_k * block_m + tl.arange(0, block_m)
    k = tl.program_id(0) % tiles_k * block_k + tl.arange(0, block_k)
    group = tl.program_id(2).to(tl.int64)
    down = k % taps // kernel_w * dilation_h - padding_h  # of a weight from the first pixel its output sees
    right = k % taps % kernel_w * dilation_w - padding_w
    x_k = (group * channels + k // taps) * x_c + down.to(tl.int64) * x_h + right.to(tl.int64) * x_w
    g_k = (group * outputs + m) * g_m
    first = tl.program_id(1).to(tl.int64)
    step = tl.num_programs(1).to(tl.int64)
    x_sample = x + first * x_n
    g_sample = g + first * g_n
    found = tl.zeros((block_m, block_k), tl.int32)
    for _ in range(tl.program_id(1), samples, tl.num_programs(1)):
        total = tl.zeros((block_m, block_k), tl.float32)
        for start in range(0, positions, block_l):
            position = start + tl.arange(0, block_l)
            inside_l = position < positions
            top = position // columns * stride_h
            left = position % columns * stride_w
            inside = (k < fan_in)[:, None] & inside_l[None, :]
            if padded:
                row = down[:, None] + top[None, :]
                column = right[:, None] + left[None, :]
                inside = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            x_l = top.to(tl.int64) * x_h + left.to(tl.int64) * x_w
            # Positions are the last axis of both tiles: those of a map lie side by side in memory.
            x_tile = tl.load(x_sample + x_k[:, None] + x_l[None, :], mask=inside, other=0.0)
            g_inside = (m < outputs)[:, None] & inside_l[None, :]
            g_l_at = position.to(tl.int64) * g_l
            g_tile = tl.load(g_sample + g_k[:, None] + g_l_at[None, :], mask=g_inside, other=0.0)
            total = tl.dot(g_tile, tl.trans(x_tile), total, input_precision=precision)
        found += (total > 0).to(tl.int32) - (total < 0).to(tl.int32)
        x_sample += step * x_n
        g_sample += step * g_n
    at = (group * outputs + m)[:, None] * fan_in + k[None, :]
    # Integers: the order in which programs add does not matter.
    tl.atomic_add(counts + at, found, mask=(m < outputs)[:, None] & (k < fan_in)[None, :], sem="relaxed")


def count_signs(
    x: Tensor, g: Tensor, kernel: tuple[int, int] = (1, 1), *, columns: int = 1, stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0), dilation: tuple[int, int] = (1, 1), groups: int = 1, tf32: bool = False,
    parts: int | None = None,
) -> Tensor:  # fmt: skip
    """int32 [M, C / groups * taps]: for each weight, positive minus negative samples. Nothing is checked here.

    Args:
        x: Inputs [N, C, H, W] with any strides; a linear layer's as [N, K, L, 1].
        g: Gradients of the outputs [N, M, L], positions row by row, with any strides.
        kernel: Height and width.
        columns: Positions in a row.
        stride: Of the convolution, down and right, as the others.
        padding: Zeros before the first and after the last pixel.
        dilation: Pixels from one tap to the next.
        groups: Of channels.
        tf32: Let products of fp32 lose bits for speed.
        parts: Into how many the samples are divided; None: as many as keep the device busy.
    """
    samples, outputs, positions = g.shape
    channels = x.shape[1] // groups
    fan_in = channels * kernel[0] * kernel[1]
    counts = torch.zeros(outputs, fan_in, dtype=torch.int32, device=x.device)
    if 0 in (samples, positions, counts.numel()):
        return counts
    if not x.is_cuda:  # the interpreter's tl.dot takes the bits of bfloat16 for integers
        x, g = x.float(), g.float()
    if kernel == (1, 1) and stride == (1, 1) and padding == (0, 0):
        x, columns = x.flatten(2).unsqueeze(3), 1  # the compiler sees that positions lie side by side
    block_m, block_k = _side(outputs // groups), _side(fan_in)
    tiles = triton.cdiv(outputs // groups, block_m) * triton.cdiv(fan_in, block_k)
    parts = max(1, min(samples, parts or PROGRAMS // (tiles * groups)))
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]  # torch has no types here
        _kernel[tiles, parts, groups](
            counts, x, g, samples, positions, columns, outputs // groups, channels, *x.shape[2:], *kernel, *stride,
            *padding, *dilation, *x.stride(), *g.stride(), padded=padding != (0, 0),
            precision="tf32" if tf32 else "ieee", block_m=block_m, block_k=block_k, block_l=BLOCK_L,
            **LAUNCH,
        )  # fmt: skip
    return counts


def _side(size: int) -> int:
    """Of a tile over `size` weights."""
    least, most = BLOCK
    return min(most, max(least, int(triton.next_power_of_2(size))))
