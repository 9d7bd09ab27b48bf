"""MobileNets without elasticity: what extraction returns and what an exported checkpoint holds."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

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


def convolution(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the map size at stride 1."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)


class SqueezeExcitation(nn.Module):
    """Channel gates from the pooled map.

    Args:
        channels: Channels.
        hidden: Hidden units.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        gate = F.relu(self.reduce(x.mean((2, 3))))
        return x * F.hardsigmoid(self.expand(gate))[:, :, None, None]


class Shortcut(nn.Module):
    """A projection around a block that changes shape: average pooling and a 1x1 convolution."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.pool = plan.stride == 2
        self.conv = convolution(plan.in_channels, plan.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the block's output shape."""
        return self.conv(pooled_half(x) if self.pool else x)  # type: ignore[no-any-return]  # torch has no types here


class Block(nn.Module):
    """One inverted-residual block.

    Args:
        plan: Its shapes.
    """

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        inner = plan.expanded
        layers: list[nn.Module] = []
        if plan.expansion > 1:
            layers += [convolution(plan.in_channels, inner), nn.BatchNorm2d(inner), activation(plan.activation)]
        layers += [
            convolution(inner, inner, plan.kernel, plan.stride, groups=inner),
            nn.BatchNorm2d(inner),
            activation(plan.activation),
        ]
        if plan.squeezed:
            layers.append(SqueezeExcitation(inner, plan.squeezed))
        layers += [convolution(inner, plan.out_channels), nn.BatchNorm2d(plan.out_channels)]
        self.body = nn.Sequential(*layers)
        self.residual = plan.shortcut != "none"
        self.shortcut = Shortcut(plan) if plan.shortcut == "projection" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', H', W']."""
        y: Tensor = self.body(x)
        return y + self.shortcut(x) if self.residual else y


class MobileNet(nn.Module):
    """A plain network: resize, stem, blocks, head, average pooling, mix, classifier.

    Args:
        plan: Its shapes.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        self.resolution = plan.resolution
        self.stem = nn.Sequential(
            convolution(plan.in_channels, plan.stem_channels, 3, plan.stem_stride),
            nn.BatchNorm2d(plan.stem_channels),
            activation(plan.stem_activation),
        )
        self.blocks = nn.Sequential(*(Block(block) for block in plan.blocks))
        self.head = nn.Sequential(
            convolution(plan.last_channels, plan.head_channels), nn.BatchNorm2d(plan.head_channels), nn.Hardswish()
        )
        mix = (
            (nn.Linear(plan.head_channels, plan.mix_channels, bias=False), nn.Hardswish()) if plan.mix_channels else ()
        )
        self.mix = nn.Sequential(*mix)
        self.classifier = nn.Linear(plan.features, plan.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] to logits [B, K]."""
        x = self.head(self.blocks(self.stem(resized(x, self.resolution))))
        return self.classifier(self.mix(x.mean((2, 3))))  # type: ignore[no-any-return]  # torch has no types here
