"""The sum over samples of the signs of a layer's weight gradients, without holding one gradient a sample.

With inputs a [L, K] at L positions and output gradients g [L, M] the gradient of one sample is g^T a [M, K]. Its sign
needs the sum over positions to be complete. The references take samples a chunk at a time; the kernel of
`sign_accumulate_triton.py` completes the sum of a tile in registers, takes its sign, and goes on with the next sample.
With one position the sign of the product is the product of the signs, and one matrix product does it.

A sum of zero has no sign and neither has a NaN, as for `torch.sign`: both count 0. Products of half precision are
summed in fp32.
"""

from __future__ import annotations

import importlib.util
import os

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor

from nas.errors import UsageError

CHUNK_BYTES = 32 * 2**20  # of one chunk's gradients and unfolded inputs
KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
SUMMED_DTYPES = (torch.float32, torch.float64)  # the references turn others into fp32
OLDEST_CUDA = 7  # compute capability that Triton compiles for


@torch.no_grad()
def linear_signs(inputs: Tensor, grads: Tensor, *, triton: bool | None = None, tf32: bool = False) -> Tensor:
    """int32 [M, K]: for each weight of a linear layer, samples with a positive gradient minus those with a negative.

    Args:
        inputs: [N, L, K].
        grads: Gradient of the summed loss with respect to the outputs, [N, L, M].
        triton: Run the Triton kernel; None: on CUDA, where triton is there and the reference is not as fast.
        tf32: Let the kernel's products of fp32 lose bits for speed; the reference does what torch is set to.

    Raises:
        UsageError: The tensors do not fit each other, or the kernel is asked for where it cannot run.
    """
    inputs, grads = _matched(inputs, grads)
    if inputs.shape[1] != grads.shape[1]:
        raise UsageError(f"inputs have {inputs.shape[1]} positions a sample and gradients {grads.shape[1]}; give equal")
    if not _kernel_runs(inputs, triton, slower=inputs.shape[1] == 1):
        return linear_signs_reference(inputs, grads)
    from nas.kernels.sign_accumulate_triton import count_signs

    return count_signs(inputs.mT.unsqueeze(3), grads.mT, tf32=tf32)


@torch.no_grad()
def conv2d_signs(
    inputs: Tensor, grads: Tensor, kernel: tuple[int, int], *, stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], groups: int, triton: bool | None = None, tf32: bool = False,
) -> Tensor:  # fmt: skip
    """int32 [M, C / groups, k, k]: as `linear_signs`, for a convolution.

    Args:
        inputs: [N, C, H, W].
        grads: [N, M, H', W'].
        kernel: Height and width.
        stride: Of the convolution, down and right, as the others.
        padding: Zeros before the first and after the last pixel.
        dilation: Pixels from one tap to the next.
        groups: Of channels.
        triton: As for `linear_signs`; None keeps to the reference where every input channel is a group.
        tf32: As for `linear_signs`.

    Raises:
        UsageError: As for `linear_signs`.
    """
    inputs, grads = _matched(inputs, grads)
    channels, outputs = inputs.shape[1], grads.shape[1]
    moves = zip(inputs.shape[2:], kernel, stride, padding, dilation, strict=True)
    rows, columns = ((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in moves)
    if channels % groups or outputs % groups or grads.shape[2:] != (rows, columns):
        raise UsageError(
            f"a convolution of {list(inputs.shape)} with these settings has maps of {rows}x{columns} in {groups} "
            f"groups of channels, which gradients of {list(grads.shape)} are not; give those of its outputs"
        )
    if not _kernel_runs(inputs, triton, slower=channels == groups > 1):
        return conv2d_signs_reference(
            inputs, grads, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    from nas.kernels.sign_accumulate_triton import count_signs

    found = count_signs(
        inputs, grads.flatten(2), kernel, columns=columns, stride=stride, padding=padding, dilation=dilation,
        groups=groups, tf32=tf32,
    )  # fmt: skip
    return found.view(outputs, channels // groups, *kernel)


def linear_signs_reference(inputs: Tensor, grads: Tensor) -> Tensor:
    """`linear_signs` in plain torch.

    Args:
        inputs: [N, L, K].
        grads: [N, L, M].
    """
    length, k = inputs.shape[1:]
    m = grads.shape[2]
    if length == 1:
        signs = [x[:, 0].sign().float() for x in (grads, inputs)]  # halves cannot count to N
        return (signs[0].T @ signs[1]).to(torch.int32)
    found = torch.zeros(m, k, dtype=torch.int32, device=grads.device)
    for a, g in _chunks(inputs, grads, m * k):
        found += _count(torch.bmm(g.mT, a))
    return found


def conv2d_signs_reference(
    inputs: Tensor, grads: Tensor, kernel: tuple[int, int], *, stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], groups: int,
) -> Tensor:  # fmt: skip
    """`conv2d_signs` in plain torch.

    Args:
        inputs: [N, C, H, W].
        grads: [N, M, H', W'].
        kernel: Height and width.
        stride: Of the convolution, down and right, as the others.
        padding: Zeros before the first and after the last pixel.
        dilation: Pixels from one tap to the next.
        groups: Of channels.
    """
    channels = inputs.shape[1]
    if channels == groups > 1:
        return _depthwise_signs(inputs, grads, kernel, stride, padding, dilation)
    m, taps = grads.shape[1], kernel[0] * kernel[1]
    fan_in = channels // groups * taps
    positions = grads.shape[2] * grads.shape[3]
    found = torch.zeros(groups, m // groups, fan_in, dtype=torch.int32, device=grads.device)
    for x, g in _chunks(inputs, grads, m * fan_in + channels * taps * positions):
        if taps == 1 and stride == (1, 1) and padding == (0, 0):
            a = x.reshape(len(x), channels, positions)
        else:
            a = unfolded(x, kernel, stride, padding, dilation)
        a = a.reshape(len(x), groups, fan_in, positions)
        g = g.reshape(len(x), groups, m // groups, positions)
        found += _count(torch.matmul(g, a.mT))
    return found.view(m, channels // groups, *kernel)


def unfolded(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Tensor:
    """[N, C, taps, H', W']: what `F.unfold` gives, by one copy a tap, which on the CPU is several times as fast."""
    n, channels, height, width = x.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    found = x.new_empty(n, channels, kernel[0] * kernel[1], rows, columns)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            down = slice(i * dilation[0], i * dilation[0] + (rows - 1) * stride[0] + 1, stride[0])
            right = slice(j * dilation[1], j * dilation[1] + (columns - 1) * stride[1] + 1, stride[1])
            found[:, :, i * kernel[1] + j] = x[:, :, down, right]
    return found


def _depthwise_signs(
    inputs: Tensor, grads: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:  # fmt: skip
    """One pass over the maps a tap: matrix products of one row are slow, and an unfolded copy is `taps` as large."""
    channels, height, width = inputs.shape[1:]
    m, rows, columns = grads.shape[1:]
    padded = channels * (height + 2 * padding[0]) * (width + 2 * padding[1])
    found = torch.zeros(m, *kernel, dtype=torch.int32, device=grads.device)
    for x, g in _chunks(inputs, grads, padded + m * rows * columns):
        x = F.pad(x, (padding[1], padding[1], padding[0], padding[0])).unsqueeze(2)
        g = g.reshape(len(g), channels, m // channels, rows, columns)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                down = slice(i * dilation[0], i * dilation[0] + (rows - 1) * stride[0] + 1, stride[0])
                right = slice(j * dilation[1], j * dilation[1] + (columns - 1) * stride[1] + 1, stride[1])
                found[:, i, j] += _count((g * x[..., down, right]).sum((3, 4)).flatten(1))
    return found.unsqueeze(1)


def _count(products: Tensor) -> Tensor:
    """The sum of signs over the first axis; overwrites what it is given."""
    return products.sign_().sum(0).to(torch.int32)


def _chunks(inputs: Tensor, grads: Tensor, scalars: int) -> list[tuple[Tensor, Tensor]]:
    """Both cut into so many samples that `scalars` for each of them fit a chunk."""
    if inputs.dtype not in SUMMED_DTYPES:
        inputs, grads = inputs.float(), grads.float()
    size = max(1, CHUNK_BYTES // (max(1, scalars) * grads.element_size()))
    return list(zip(torch.split(inputs, size), torch.split(grads, size), strict=True))


def _matched(inputs: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one type."""
    for name, tensor in (("inputs", inputs), ("gradients", grads)):
        if not tensor.is_floating_point():
            raise UsageError(f"signs of gradients need {name} of a floating-point type, not {tensor.dtype}; cast them")
    if len(inputs) != len(grads):
        raise UsageError(f"{len(inputs)} samples of inputs and {len(grads)} of gradients; give those of one pass")
    if inputs.device != grads.device:
        raise UsageError(f"inputs are on {inputs.device} and gradients on {grads.device}; move them together")
    dtype = torch.promote_types(inputs.dtype, grads.dtype)
    return inputs.to(dtype), grads.to(dtype)


def _kernel_runs(inputs: Tensor, asked: bool | None, *, slower: bool) -> bool:
    """Whether the kernel is to run; `slower`: where it runs only when asked for."""
    there = importlib.util.find_spec("triton") is not None
    if asked is None:
        usable = inputs.is_cuda and torch.cuda.get_device_capability(inputs.device)[0] >= OLDEST_CUDA
        return usable and there and not slower and inputs.dtype in KERNEL_DTYPES
    if asked and not there:
        raise UsageError("the kernel of sign_accumulate needs triton; install it, or leave triton=True out")
    if asked and inputs.dtype not in KERNEL_DTYPES:
        raise UsageError(f"the kernel of sign_accumulate does not take {inputs.dtype}; leave triton=True out")
    if asked and not inputs.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise UsageError("the kernel of sign_accumulate needs CUDA, or TRITON_INTERPRET=1 before triton is loaded")
    return asked
