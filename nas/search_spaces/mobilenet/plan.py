"""What a MobileNet architecture builds: every shape, resolved once for costs, supernet and export alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "hswish"]
Shortcut = Literal["none", "identity", "projection"]


def make_divisible(channels: float, divisor: int = 8) -> int:
    """`channels` rounded to a multiple of `divisor`, never below 90 % of it (MobileNetV2's rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One inverted-residual block: expand (1x1), depthwise (k x k), squeeze-excitation, project (1x1).

    Args:
        stage: Index of its stage.
        index: Its position in the stage.
        in_channels: Channels that come in.
        expansion: expanded = in_channels * expansion; 1 means that there is no expand convolution.
        out_channels: Channels that go out.
        kernel: Depthwise kernel size.
        stride: Depthwise stride.
        activation: Nonlinearity after the expand and the depthwise convolution.
        squeezed: Hidden channels of squeeze-excitation; 0 for none.
        shortcut: "projection" is average pooling where the stride is 2, and a 1x1 convolution (BigNAS).
        in_size: Height and width of the input.
    """

    stage: int
    index: int
    in_channels: int
    expansion: int
    out_channels: int
    kernel: int
    stride: int
    activation: Activation
    squeezed: int
    shortcut: Shortcut
    in_size: int

    @property
    def expanded(self) -> int:
        """Channels of the depthwise convolution."""
        return self.in_channels * self.expansion

    @property
    def out_size(self) -> int:
        """Height and width of the output."""
        return -(-self.in_size // self.stride)

    @property
    def params(self) -> int:
        """Trainable scalars; convolutions have no bias, batch norms have scale and shift."""
        e, s = self.expanded, self.squeezed
        expand = e * (self.in_channels + 2) if self.expansion > 1 else 0
        squeeze = 2 * e * s + e + s if s else 0
        shortcut = self.in_channels * self.out_channels if self.shortcut == "projection" else 0
        return expand + e * (self.kernel**2 + 2) + squeeze + self.out_channels * (e + 2) + shortcut

    @property
    def macs(self) -> int:
        """Multiply-adds of its convolutions for one input."""
        e, area_in, area = self.expanded, self.in_size**2, self.out_size**2
        expand = area_in * self.in_channels * e if self.expansion > 1 else 0
        shortcut = area * self.in_channels * self.out_channels if self.shortcut == "projection" else 0
        return expand + area * e * (self.kernel**2 + self.out_channels) + 2 * e * self.squeezed + shortcut


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """A whole network: resize, stem (3x3), blocks, head (1x1), average pooling, mix (linear), classifier.

    Args:
        input_size: Height and width of the images that come in.
        in_channels: Their channels.
        resolution: What they are resized to first.
        stem_channels: Output channels of the stem.
        stem_stride: Its stride.
        stem_activation: Its nonlinearity.
        blocks: The blocks, in order.
        head_channels: Output channels of the head's 1x1 convolution.
        mix_channels: Features of the linear layer before the classifier; 0 for none.
        num_classes: Outputs of the classifier.
    """

    input_size: int
    in_channels: int
    resolution: int
    stem_channels: int
    stem_stride: int
    stem_activation: Activation
    blocks: tuple[BlockPlan, ...]
    head_channels: int
    mix_channels: int
    num_classes: int

    @property
    def stem_size(self) -> int:
        """Height and width after the stem."""
        return -(-self.resolution // self.stem_stride)

    @property
    def last_channels(self) -> int:
        """Channels that reach the head."""
        return self.blocks[-1].out_channels

    @property
    def features(self) -> int:
        """Inputs of the classifier."""
        return self.mix_channels or self.head_channels

    @property
    def stem_cost(self) -> tuple[int, int]:
        """(params, macs) of the stem."""
        weights = self.in_channels * 9 * self.stem_channels
        return weights + 2 * self.stem_channels, weights * self.stem_size**2

    @property
    def head_cost(self) -> tuple[int, int]:
        """(params, macs) of everything after the blocks."""
        weights = self.last_channels * self.head_channels
        mix = self.head_channels * self.mix_channels
        classifier = self.features * self.num_classes
        area = self.blocks[-1].out_size ** 2
        return weights + 2 * self.head_channels + mix + classifier + self.num_classes, weights * area + mix + classifier

    @property
    def params(self) -> int:
        """Trainable scalars."""
        return self.stem_cost[0] + self.head_cost[0] + sum(block.params for block in self.blocks)

    @property
    def macs(self) -> int:
        """Multiply-adds for one input."""
        return self.stem_cost[1] + self.head_cost[1] + sum(block.macs for block in self.blocks)
