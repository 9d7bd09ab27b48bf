"""The MobileNet supernet of Once-for-All and BigNAS."""

from __future__ import annotations

from collections.abc import Hashable

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.networks import mobilenet as plain
from nas.relaxation import Mixture
from nas.search_spaces import Architecture, MobileNetSpace
from nas.search_spaces.mobilenet.plan import BlockPlan, NetworkPlan
from nas.supernets.layers import (
    ElasticBatchNorm,
    ElasticConv2d,
    ElasticDepthwiseConv2d,
    ElasticLinear,
    ElasticSqueezeExcitation,
    first_channels,
    initialise,
)
from nas.supernets.mobilenet.mixture import forward_mixture
from nas.supernets.statistics import Statistics
from nas.supernets.steps import Context, State, Step
from nas.supernets.supernet import Supernet


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
        x = _map(x)
        assert self.expand is not None
        assert self.expand_norm is not None
        expand = self.expand
        return x, context.unit(
            x, lambda: expand.sliced(plan.in_channels, plan.expanded), self.expand_norm, plan.activation
        )

    def _depthwise(self, state: State, plan: BlockPlan, context: Context) -> State:
        """Input and expanded map, to input and [B, plan.expanded, H', W']."""
        x, y = (state, state) if isinstance(state, Tensor) else state
        y = context.unit(
            first_channels(y, plan.expanded),
            lambda: self.depthwise.sliced(plan.expanded, plan.kernel),
            self.depthwise_norm,
            plan.activation,
            stride=self.depthwise.stride,
            groups=plan.expanded,
        )
        return x, y if self.squeeze is None else self.squeeze(y, plan.squeezed)

    def _project(self, state: State, plan: BlockPlan, context: Context) -> State:
        """Input and depthwise map, to [B, plan.out_channels, H', W']."""
        x, y = state[0], first_channels(state[1], plan.expanded)
        y = context.unit(y, lambda: self.project.sliced(plan.expanded, plan.out_channels), self.project_norm, None)
        if plan.shortcut == "none":
            return y
        y = context.dropped(y, self.depth)
        if self.shortcut is not None:
            x = self.shortcut(plain.pooled_half(x) if plan.stride == 2 else x, plan.out_channels)
        return y + x if torch.is_grad_enabled() else y.add_(x)

    def copy_into(self, target: plain.Block, plan: BlockPlan) -> list[tuple[str, nn.BatchNorm2d]]:
        """Copy the slices of `plan`; returns the target's batch norms by statistics name."""
        layers = list(target.body)
        norms: list[tuple[str, nn.BatchNorm2d]] = []
        if self.expand is not None and self.expand_norm is not None:
            _copy(layers.pop(0), self.expand.sliced(plan.in_channels, plan.expanded))
            norms.append(_copy_norm(layers.pop(0), self.expand_norm))
            layers.pop(0)
        _copy(layers.pop(0), self.depthwise.sliced(plan.expanded, plan.kernel))
        norms.append(_copy_norm(layers.pop(0), self.depthwise_norm))
        layers.pop(0)
        if self.squeeze is not None:
            squeeze = layers.pop(0)
            assert isinstance(squeeze, plain.SqueezeExcitation)
            _copy(squeeze.reduce, *self.squeeze.reduce.sliced(plan.expanded, plan.squeezed))
            _copy(squeeze.expand, *self.squeeze.expand.sliced(plan.squeezed, plan.expanded))
        _copy(layers.pop(0), self.project.sliced(plan.expanded, plan.out_channels))
        norms.append(_copy_norm(layers.pop(0), self.project_norm))
        if self.shortcut is not None:
            assert isinstance(target.shortcut, plain.Shortcut)
            _copy(target.shortcut.conv, self.shortcut.sliced(plan.in_channels, plan.out_channels))
        return norms


class MobileNetSupernet(Supernet):
    """Every member of a `MobileNetSpace` in one set of weights.

    Args:
        space: The space.
        seed: Seed of the initial weights.
    """

    def __init__(self, space: MobileNetSpace, *, seed: int) -> None:
        super().__init__()
        self.space: MobileNetSpace = space
        biggest = space.plan(space.largest())
        self.stem = ElasticConv2d(biggest.in_channels, biggest.stem_channels, 3, biggest.stem_stride)
        self.stem_norm = ElasticBatchNorm(biggest.stem_channels, "stem")
        self.stages = nn.ModuleList()
        for s, spec in enumerate(space.config.stages):
            learned = space.config.kernel_transform == "learned"
            plans = [(i, plan) for i, plan in enumerate(biggest.blocks) if plan.stage == s]
            self.stages.append(
                nn.ModuleList(
                    ElasticBlock(plan, spec.kernels, transform=learned, depth=(i + 1) / len(biggest.blocks))
                    for i, plan in plans
                )
            )
        self.head = ElasticConv2d(biggest.last_channels, biggest.head_channels)
        self.head_norm = ElasticBatchNorm(biggest.head_channels, "head")
        mix = biggest.mix_channels
        self.mix = ElasticLinear(biggest.head_channels, mix, bias=False) if mix else None
        self.classifier = ElasticLinear(biggest.features, biggest.num_classes, bias=True)
        initialise(self, torch.Generator().manual_seed(seed))

    def block(self, stage: int, index: int) -> ElasticBlock:
        """The block at a position."""
        blocks = self.stages[stage]
        assert isinstance(blocks, nn.ModuleList)
        block = blocks[index]
        assert isinstance(block, ElasticBlock)
        return block

    def steps(self, arch: Architecture) -> list[Step]:
        """Resize, stem, one step a block, head."""
        plan = self.space.plan(arch)
        steps = [
            Step(
                ("resize", plan.resolution),
                lambda x, _: plain.resized(_map(x), plan.resolution),
                size=plan.in_channels * plan.resolution**2,
            ),
            Step(
                "stem",
                lambda x, c: self.run_stem(_map(x), plan, c),
                plan.stem_cost[1],
                size=plan.stem_channels * plan.stem_size**2,
            ),
        ]
        for block in plan.blocks:
            steps += self.block(block.stage, block.index).steps(block)
        steps.append(Step("head", lambda x, c: self.run_head(_map(x), plan, c), plan.head_cost[1], plan.num_classes))
        return steps

    def mixed(self, x: Tensor, mixture: Mixture, context: Context) -> Tensor:
        """Logits under a mixture, see `forward_mixture`."""
        return forward_mixture(self, x, mixture, context)

    def run_stem(self, x: Tensor, plan: NetworkPlan, context: Context) -> Tensor:
        """[B, C, H, W] at the chosen resolution to the first block's input."""
        return context.unit(
            x,
            lambda: self.stem.sliced(plan.in_channels, plan.stem_channels),
            self.stem_norm,
            plan.stem_activation,
            stride=self.stem.stride,
        )

    def run_head(self, x: Tensor, plan: NetworkPlan, context: Context) -> Tensor:
        """The last block's output to logits [B, K]."""
        x = context.unit(
            x, lambda: self.head.sliced(plan.last_channels, plan.head_channels), self.head_norm, "hswish"
        ).mean((2, 3))
        if self.mix is not None:
            x = F.hardswish(self.mix(x, plan.mix_channels))
        if context.regularisation is not None and context.regularisation.dropout > 0:
            x = x * context.regularisation.keep(tuple(x.shape), context.regularisation.dropout, x)
        logits: Tensor = self.classifier(x, plan.num_classes)
        return logits

    @torch.no_grad()
    def extract(self, arch: Architecture, statistics: Statistics | None = None) -> plain.MobileNet:
        """A plain `MobileNet` with its own copies; in eval mode where statistics are given."""
        plan = self.space.plan(arch)
        with torch.random.fork_rng(devices=[]):  # its fresh weights, all overwritten, come from torch's own generator
            network = plain.MobileNet(plan).to(self.classifier.weight.device)
        _copy(network.stem[0], self.stem.sliced(plan.in_channels, plan.stem_channels))
        norms = [_copy_norm(network.stem[1], self.stem_norm)]
        for block, target in zip(plan.blocks, network.blocks, strict=True):
            assert isinstance(target, plain.Block)
            norms += self.block(block.stage, block.index).copy_into(target, block)
        _copy(network.head[0], self.head.sliced(plan.last_channels, plan.head_channels))
        norms.append(_copy_norm(network.head[1], self.head_norm))
        if self.mix is not None:
            _copy(network.mix[0], self.mix.sliced(plan.head_channels, plan.mix_channels)[0])
        _copy(network.classifier, *self.classifier.sliced(plan.features, plan.num_classes))
        if statistics is None:
            return network
        for name, norm in norms:
            mean, var = statistics.layer(name)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
        return network.eval()


def _map(state: State) -> Tensor:
    assert isinstance(state, Tensor)
    return state


def _copy(target: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    assert isinstance(target, nn.Conv2d | nn.Linear)
    assert (bias is None) == (target.bias is None)
    target.weight.copy_(weight)
    if bias is not None and target.bias is not None:
        target.bias.copy_(bias)


def _copy_norm(target: nn.Module, source: ElasticBatchNorm) -> tuple[str, nn.BatchNorm2d]:
    assert isinstance(target, nn.BatchNorm2d)
    weight, bias = source.sliced(target.num_features)
    target.weight.copy_(weight)
    target.bias.copy_(bias)
    return source.name, target
