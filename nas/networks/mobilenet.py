"""MobileNets without elasticity: what extraction returns and what an exported checkpoint holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.networks.layers import SqueezeExcitation
from nas.search_spaces import Architecture, MobileNetSpace
from nas.search_spaces.mobilenet.plan import Activation, BlockPlan, NetworkPlan


def activation(kind: Activation) -> nn.Module:
    """The nonlinearity called `kind`."""
    return nn.ReLU(inplace=True) if kind == "relu" else nn.Hardswish()


def resized(x: Tensor, resolution: int) -> Tensor:
    """[B, C, H, W] to [B, C, resolution, resolution], bilinear without antialiasing; unchanged where it fits."""
    if x.shape[-1] == resolution and x.shape[-2] == resolution:
        return x
    return F.interpolate(x, size=(resolution, resolution), mode="bilinear", align_corners=False)


def pooled_half(x: Tensor) -> Tensor:
    """[B, C, H, W] to [B, C, ceil(H/2), ceil(W/2)] by averaging; padding does not count."""
    return F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)


class ConvNorm(NamedTuple):
    """A convolution and the batch norm behind it."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d


class Shortcut(nn.Module):
    """A projection around a block that changes shape: average pooling and a 1x1 convolution.

    Args:
        conv: The convolution.
        pool: Whether the map is halved first.
    """

    def __init__(self, conv: nn.Conv2d, *, pool: bool) -> None:
        super().__init__()
        self.pool = pool
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the block's output shape."""
        return self.conv(pooled_half(x) if self.pool else x)  # type: ignore[no-any-return]  # torch has no types here


class Block(nn.Module):
    """One inverted-residual block.

    Args:
        plan: Its shapes.
        expand: None where the plan has no expansion.
        depthwise: With the stride.
        squeeze: None where the plan has none.
        project: Back to few channels.
        projection: The shortcut's 1x1 convolution, where there is one.
    """

    def __init__(
        self, plan: BlockPlan, *, expand: ConvNorm | None, depthwise: ConvNorm, squeeze: SqueezeExcitation | None,
        project: ConvNorm, projection: nn.Conv2d | None,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = [] if expand is None else [*expand, activation(plan.activation)]
        layers += [*depthwise, activation(plan.activation)]
        if squeeze is not None:
            layers.append(squeeze)
        self.body = nn.Sequential(*layers, *project)
        self.residual = plan.shortcut != "none"
        self.shortcut = nn.Identity() if projection is None else Shortcut(projection, pool=plan.stride == 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', H', W']."""
        y: Tensor = self.body(x)
        return y + self.shortcut(x) if self.residual else y


class MobileNet(nn.Module):
    """A plain network: resize, stem, blocks, head, average pooling, mix, classifier.

    Args:
        plan: Its shapes.
        stem: The first convolution.
        blocks: In order.
        head: The last convolution.
        mix: The linear layer before the classifier; None where the plan has none.
        classifier: Features to logits.
    """

    def __init__(
        self, plan: NetworkPlan, *, stem: ConvNorm, blocks: Sequence[Block], head: ConvNorm, mix: nn.Linear | None,
        classifier: nn.Linear,
    ) -> None:  # fmt: skip
        super().__init__()
        self.resolution = plan.resolution
        self.stem = nn.Sequential(*stem, activation(plan.stem_activation))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*head, nn.Hardswish())
        self.mix = nn.Sequential() if mix is None else nn.Sequential(mix, nn.Hardswish())
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] to logits [B, K]."""
        x = self.head(self.blocks(self.stem(resized(x, self.resolution))))
        return self.classifier(self.mix(x.mean((2, 3))))  # type: ignore[no-any-return]  # torch has no types here


def build(space: MobileNetSpace, arch: Architecture) -> MobileNet:
    """The network of an architecture, with torch's own fresh weights.

    Raises:
        UsageError: `arch` is of another space.
    """
    plan = space.plan(arch)
    mix = nn.Linear(plan.head_channels, plan.mix_channels, bias=False) if plan.mix_channels else None
    return MobileNet(
        plan,
        stem=_conv_norm(plan.in_channels, plan.stem_channels, 3, plan.stem_stride),
        blocks=[_block(block) for block in plan.blocks],
        head=_conv_norm(plan.last_channels, plan.head_channels),
        mix=mix,
        classifier=nn.Linear(plan.features, plan.num_classes),
    )


def _block(plan: BlockPlan) -> Block:
    inner, c_in, c_out = plan.expanded, plan.in_channels, plan.out_channels
    hidden = plan.squeezed
    return Block(
        plan,
        expand=_conv_norm(c_in, inner) if plan.expansion > 1 else None,
        depthwise=_conv_norm(inner, inner, plan.kernel, plan.stride, groups=inner),
        squeeze=SqueezeExcitation(nn.Linear(inner, hidden), nn.Linear(hidden, inner)) if hidden else None,
        project=_conv_norm(inner, c_out),
        projection=nn.Conv2d(c_in, c_out, 1, bias=False) if plan.shortcut == "projection" else None,
    )


def _conv_norm(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> ConvNorm:
    """Without bias; the map keeps its size at stride 1."""
    convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return ConvNorm(convolution, nn.BatchNorm2d(c_out))
