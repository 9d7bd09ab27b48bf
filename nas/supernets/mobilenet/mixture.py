"""A MobileNet supernet under a mixture: one pass at full width, whatever the number of choices.

Kernels are superposed before their convolution (TangleNAS: W = sum_i a_i pad(crop_i(W))); widths and expansions
gate channels after every batch norm, channel c by the total weight of the choices that contain it; depths mix the
outputs of a stage's blocks; resolutions, whose maps differ in size, mix logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor

from nas.kernels.convolution import activated
from nas.networks import mobilenet as plain
from nas.relaxation import Mixture
from nas.search_spaces.mobilenet.plan import Activation, make_divisible
from nas.supernets.layers import ElasticDepthwiseConv2d, ElasticSqueezeExcitation
from nas.supernets.steps import Context

if TYPE_CHECKING:
    from nas.supernets.mobilenet.block import ElasticBlock
    from nas.supernets.mobilenet.supernet import MobileNetSupernet


def forward_mixture(supernet: MobileNetSupernet, x: Tensor, mixture: Mixture, context: Context) -> Tensor:
    """Logits [B, K] of normalised images [B, C, H, W]; resolutions of weight exactly 0 are not run."""
    weights = mixture.of("resolution", x)
    plan = supernet.space.plan(supernet.space.largest())
    total: Tensor | None = None
    choices = list(zip(weights, supernet.space.config.resolutions, strict=True))
    for weight, resolution in [c for c in choices if c[0].requires_grad or float(c[0]) != 0] or choices[:1]:
        y = supernet.run_stem(plain.resized(x, resolution), plan, context)
        for s in range(len(supernet.space.config.stages)):
            y = _stage(supernet, s, y, mixture, context)
        logits = weight * supernet.run_head(y, plan, context)
        total = logits if total is None else total + logits
    assert total is not None
    return total


def _stage(supernet: MobileNetSupernet, s: int, x: Tensor, mixture: Mixture, context: Context) -> Tensor:
    """The outputs after each depth, mixed."""
    config, spec = supernet.space.config, supernet.space.config.stages[s]
    before = config.stages[s - 1].widths if s else (config.stem_channels,)
    widths = mixture.of(f"stage{s}.width", x)
    incoming = (before, mixture.of(f"stage{s - 1}.width", x) if s else torch.ones_like(x[0, 0, 0, :1]))
    outgoing = (spec.widths, widths)
    by_depth = dict(zip(spec.depths, mixture.of(f"stage{s}.depth", x), strict=True))
    total: Tensor | None = None
    for b in range(spec.depths[-1]):
        choices = (
            mixture.of(f"stage{s}.block{b}.kernel", x),
            mixture.of(f"stage{s}.block{b}.expansion", x),
        )
        x = _block(supernet, s, b, x, incoming if b == 0 else outgoing, outgoing, choices, context)
        if b + 1 in by_depth:
            part = by_depth[b + 1] * x
            total = part if total is None else total + part
    assert total is not None
    return total


Weighed = tuple[tuple[int, ...], Tensor]  # channel counts, and the weight of each


def _block(
    supernet: MobileNetSupernet, s: int, b: int, x: Tensor, incoming: Weighed, outgoing: Weighed,
    choices: tuple[Tensor, Tensor], context: Context,
) -> Tensor:  # fmt: skip
    """One block at full width, its channels gated."""
    block, spec = supernet.block(s, b), supernet.space.config.stages[s]
    kernels, expansions = choices
    sizes = tuple(c * e for c in incoming[0] for e in spec.expansions)
    inner: Weighed = (sizes, torch.outer(incoming[1], expansions).flatten())
    out_gate = gate(*outgoing)
    y = _expanded(block, x, gate(*inner), spec.activation, context)
    y = context.normalise(block.depthwise_norm, _depthwise(block.depthwise, y, kernels))
    y = activated(y, spec.activation) * gate(*inner)
    if block.squeeze is not None:
        y = _squeezed(block.squeeze, y, gate(tuple(make_divisible(c // 4) for c in sizes), inner[1]))
    y = context.normalise(block.project_norm, block.project(y, block.project.weight.shape[0])) * out_gate
    if not block.residual:
        return y
    y = context.drop_connect(y, block.depth)
    if block.shortcut is not None:
        pooled = plain.pooled_half(x) if spec.stride == 2 and b == 0 else x
        x = block.shortcut(pooled, block.shortcut.weight.shape[0]) * out_gate
    return y + x


def gate(counts: tuple[int, ...], weights: Tensor) -> Tensor:
    """[1, max(counts), 1, 1]: per channel, the total weight of the counts that contain it."""
    channels = torch.arange(max(counts), device=weights.device)
    inside = channels[None, :] < torch.tensor(counts, device=weights.device)[:, None]
    return (weights[:, None] * inside).sum(0).view(1, -1, 1, 1)


def _expanded(block: ElasticBlock, x: Tensor, inner: Tensor, activation: Activation, context: Context) -> Tensor:
    if block.expand is None or block.expand_norm is None:
        return x
    y = context.normalise(block.expand_norm, block.expand(x, block.expand.weight.shape[0]))
    return activated(y, activation) * inner


def _depthwise(layer: ElasticDepthwiseConv2d, x: Tensor, weights: Tensor) -> Tensor:
    """One convolution with the superposed kernel."""
    biggest = layer.kernels[-1]
    kernel = torch.zeros_like(layer.weight)
    for weight, size in zip(weights, layer.kernels, strict=True):
        edge = (biggest - size) // 2
        kernel = kernel + weight * F.pad(layer.sliced(x.shape[1], size), (edge,) * 4)
    return F.conv2d(x, kernel, stride=layer.stride, padding=biggest // 2, groups=x.shape[1])


def _squeezed(layer: ElasticSqueezeExcitation, x: Tensor, hidden: Tensor) -> Tensor:
    """Squeeze-excitation with its hidden units gated."""
    pooled = F.relu(layer.reduce(x.mean((2, 3)), layer.reduce.weight.shape[0]))
    kept = pooled * hidden.flatten()
    return x * F.hardsigmoid(layer.expand(kept, x.shape[1]))[:, :, None, None]
