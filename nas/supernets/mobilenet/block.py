"""One block position of a MobileNet supernet: inverted residual, with shared weights."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from nas.networks import mobilenet as plain
from nas.search_spaces.mobilenet.plan import BlockPlan
from nas.supernets.layers import (
    ElasticBatchNorm,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticSqueezeExcitation,
    conv_norm_activation,
)
from nas.supernets.layers.slicing import first_channels
from nas.supernets.statistics import Statistics
from nas.supernets.steps import Context, State, Step


class ElasticBlock(nn.Module):
    """The shared weights of one block position.

    Args:
        biggest: The plan with every choice at its largest.
        kernels: Kernel sizes, ascending.
        transform: Whether smaller kernels have learned matrices.
        depth: Position in the whole network in 0..1, for drop-connect.
    """

    def __init__(self, biggest: BlockPlan, kernels: tuple[int, ...], *, transform: bool, depth: float) -> None:
        super().__init__()
        name, inner = f"stage{biggest.stage}.block{biggest.index}", biggest.expanded
        self.depth = depth
        self.residual = biggest.shortcut != "none"
        self.expand = ElasticConv2d(biggest.in_channels, inner) if biggest.expansion > 1 else None
        self.expand_norm = ElasticBatchNorm(inner, f"{name}.expand") if biggest.expansion > 1 else None
        self.depthwise = ElasticDepthwiseConv2d(inner, kernels, biggest.stride, transform=transform)
        self.depthwise_norm = ElasticBatchNorm(inner, f"{name}.depthwise")
        self.squeeze = ElasticSqueezeExcitation(inner, biggest.squeezed) if biggest.squeezed else None
        self.project = ElasticConv2d(inner, biggest.out_channels)
        self.project_norm = ElasticBatchNorm(biggest.out_channels, f"{name}.project")
        projection = biggest.shortcut == "projection"
        self.shortcut = ElasticConv2d(biggest.in_channels, biggest.out_channels) if projection else None

    def steps(self, plan: BlockPlan) -> list[Step]:
        """Expand, depthwise, project.

        What the first two compute for fewer channels is the beginning of it for more, but for squeeze-excitation, in
        which every channel has a say in every other.
        """
        at, e = (plan.stage, plan.index), plan.expanded
        area_in, area, out = plan.in_size**2, plan.out_size**2, plan.out_channels
        depthwise, project = area * e * plan.kernel**2 + 2 * e * plan.squeezed, area * e * out
        if self.shortcut is not None:
            project += area * plan.in_channels * out
        steps = []
        if self.expand is not None:
            macs = area_in * plan.in_channels * e
            steps.append(Step(("expand", at), lambda x, c: self._expand(x, plan, c), macs, area_in * e, e))
        key: Hashable = ("depthwise", at, plan.kernel, e if plan.squeezed else None)
        steps.append(Step(key, lambda x, c: self._depthwise(x, plan, c), depthwise, area * e, e))
        key = ("project", at, e, out)
        steps.append(Step(key, lambda x, c: self._project(x, plan, c), project, area * out))
        return steps

    def _expand(self, x: State, plan: BlockPlan, context: Context) -> State:
        """[B, plan.in_channels, H, W] to itself and [B, plan.expanded, H, W]."""
        assert isinstance(x, Tensor)
        assert self.expand is not None
        assert self.expand_norm is not None
        expand = self.expand
        return x, conv_norm_activation(
            x, lambda: expand.sliced(plan.in_channels, plan.expanded), self.expand_norm, plan.activation, context
        )

    def _depthwise(self, state: State, plan: BlockPlan, context: Context) -> State:
        """Input and expanded map, to input and [B, plan.expanded, H', W']."""
        x, y = (state, state) if isinstance(state, Tensor) else state
        y = conv_norm_activation(
            first_channels(y, plan.expanded),
            lambda: self.depthwise.sliced(plan.expanded, plan.kernel),
            self.depthwise_norm,
            plan.activation,
            context,
            stride=self.depthwise.stride,
            groups=plan.expanded,
        )
        return x, y if self.squeeze is None else self.squeeze(y, plan.squeezed)

    def _project(self, state: State, plan: BlockPlan, context: Context) -> State:
        """Input and depthwise map, to [B, plan.out_channels, H', W']."""
        x, y = state[0], first_channels(state[1], plan.expanded)
        y = conv_norm_activation(
            y, lambda: self.project.sliced(plan.expanded, plan.out_channels), self.project_norm, None, context
        )
        if plan.shortcut == "none":
            return y
        y = context.drop_connect(y, self.depth)
        if self.shortcut is not None:
            x = self.shortcut(plain.pooled_half(x) if plan.stride == 2 else x, plan.out_channels)
        return y + x if torch.is_grad_enabled() else y.add_(x)

    def extract(self, plan: BlockPlan, statistics: Statistics | None = None) -> plain.Block:
        """The plain block with its own copies of the slices of `plan`."""
        inner, c_in, c_out = plan.expanded, plan.in_channels, plan.out_channels
        expand = None
        if self.expand is not None and self.expand_norm is not None:
            expand = plain.ConvNorm(self.expand.extract(c_in, inner), self.expand_norm.extract(inner, statistics))
        return plain.Block(
            plan,
            expand=expand,
            depthwise=plain.ConvNorm(
                self.depthwise.extract(inner, plan.kernel), self.depthwise_norm.extract(inner, statistics)
            ),
            squeeze=None if self.squeeze is None else self.squeeze.extract(inner, plan.squeezed),
            project=plain.ConvNorm(self.project.extract(inner, c_out), self.project_norm.extract(c_out, statistics)),
            projection=None if self.shortcut is None else self.shortcut.extract(c_in, c_out),
        )
