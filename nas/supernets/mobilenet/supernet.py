"""The MobileNet supernet of Once-for-All and BigNAS."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.networks import mobilenet as plain
from nas.relaxation import Mixture
from nas.search_spaces import Architecture, MobileNetSpace
from nas.search_spaces.mobilenet.plan import NetworkPlan
from nas.supernets.groups import ChannelGroup
from nas.supernets.layers import (
    ElasticBatchNorm,
    ElasticConv2d,
    ElasticLinear,
    conv_norm_activation,
    initialise,
)
from nas.supernets.mobilenet.block import ElasticBlock
from nas.supernets.mobilenet.groups import channel_groups
from nas.supernets.mobilenet.mixture import forward_mixture
from nas.supernets.statistics import Statistics
from nas.supernets.steps import Context, State, Step
from nas.supernets.supernet import Supernet


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

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """See `channel_groups`."""
        return channel_groups(self)

    @property
    def residual_scales(self) -> tuple[str, ...]:
        """The last batch norm's scale of every block with a shortcut."""
        return tuple(f"{at}.project_norm.weight" for at, block in self._blocks() if block.residual)

    @property
    def no_weight_decay(self) -> tuple[str, ...]:
        """Kernel transforms: they start as identities, which leave the kernel as it is."""
        return tuple(f"{at}.depthwise.transforms.{k}" for at, b in self._blocks() for k in b.depthwise.transforms)

    def _blocks(self) -> Iterator[tuple[str, ElasticBlock]]:
        """All blocks, with the beginning of their parameters' names."""
        for s, spec in enumerate(self.space.config.stages):
            for b in range(spec.depths[-1]):
                yield f"stages.{s}.{b}", self.block(s, b)

    def steps(self, arch: Architecture) -> list[Step]:
        """Resize, stem, one to three steps a block, head."""
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
        return conv_norm_activation(
            x,
            lambda: self.stem.sliced(plan.in_channels, plan.stem_channels),
            self.stem_norm,
            plan.stem_activation,
            context,
            stride=self.stem.stride,
        )

    def run_head(self, x: Tensor, plan: NetworkPlan, context: Context) -> Tensor:
        """The last block's output to logits [B, K]."""
        x = conv_norm_activation(
            x, lambda: self.head.sliced(plan.last_channels, plan.head_channels), self.head_norm, "hswish", context
        ).mean((2, 3))
        if self.mix is not None:
            x = F.hardswish(self.mix(x, plan.mix_channels))
        logits: Tensor = self.classifier(context.dropout(x), plan.num_classes)
        return logits

    def extract(self, arch: Architecture, statistics: Statistics | None = None) -> plain.MobileNet:
        """A plain `MobileNet` with its own copies; in eval mode where statistics are given."""
        plan = self.space.plan(arch)
        stem, head = plan.stem_channels, plan.head_channels
        network = plain.MobileNet(
            plan,
            stem=plain.ConvNorm(self.stem.extract(plan.in_channels, stem), self.stem_norm.extract(stem, statistics)),
            blocks=[self.block(block.stage, block.index).extract(block, statistics) for block in plan.blocks],
            head=plain.ConvNorm(self.head.extract(plan.last_channels, head), self.head_norm.extract(head, statistics)),
            mix=None if self.mix is None else self.mix.extract(head, plan.mix_channels),
            classifier=self.classifier.extract(plan.features, plan.num_classes),
        )
        return network.train(statistics is None)


def _map(state: State) -> Tensor:
    assert isinstance(state, Tensor)
    return state


def fresh(space: MobileNetSpace, arch: Architecture) -> nn.Module:
    """The slice of a fresh supernet, whose initial weights are what training in this project starts from."""
    return MobileNetSupernet(space, seed=torch.initial_seed()).extract(arch)
