"""The networks of NAS-Bench-201, one architecture each (Dong and Yang 2020)."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from nas.search_spaces import Architecture
from nas.search_spaces.cells.nasbench201 import EDGES, NasBench201Space

NODES = 4


def unit(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution, batch norm; keeps the map size at stride 1."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(c_out))


def operation(name: str, channels: int) -> nn.Module | None:
    """The module of an edge; None for the edge that is not there."""
    if name == "none":
        return None
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return unit(channels, channels, int(name[-1]))


class Cell(nn.Module):
    """Four nodes; each is the sum of its edges, zero where none arrives.

    Args:
        operations: Names, in the order of `EDGES`.
        channels: Of input and output.
    """

    def __init__(self, operations: tuple[str, ...], channels: int) -> None:
        super().__init__()
        made = {f"{i}-{j}": operation(name, channels) for (i, j), name in zip(EDGES, operations, strict=True)}
        self.edges = nn.ModuleDict({name: module for name, module in made.items() if module is not None})

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        nodes = [x]
        for target in range(1, NODES):
            total = x * 0
            for source in range(target):
                name = f"{source}-{target}"
                if name in self.edges:
                    total = total + self.edges[name](nodes[source])
            nodes.append(total)
        return nodes[-1]


class Reduction(nn.Module):
    """Halves the map with a residual block; the shortcut pools and projects.

    Args:
        c_in: Input channels.
        c_out: Output channels.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(unit(c_in, c_out, 3, 2), unit(c_out, c_out, 3))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', H/2, W/2]."""
        return self.body(x) + self.shortcut(x)  # type: ignore[no-any-return]  # torch has no types here


class NasBench201(nn.Module):
    """Stem, three stages of cells with reductions between, norm, average pooling, classifier.

    Args:
        space: Width, depth and task.
        arch: The cell.
    """

    def __init__(self, space: NasBench201Space, arch: Architecture) -> None:
        super().__init__()
        space.require(arch)
        operations = tuple(str(value) for value in arch.values)
        widths = [channels for channels, _ in space.stages]
        self.stem = nn.Sequential(
            nn.Conv2d(space.task.channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])
        )
        body: list[nn.Module] = []
        for stage, width in enumerate(widths):
            body += [Reduction(widths[stage - 1], width)] if stage else []
            body += [Cell(operations, width) for _ in range(space.cells)]
        self.body = nn.Sequential(*body)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.classifier = nn.Linear(widths[-1], space.task.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] to logits [B, K]."""
        x = F.relu(self.norm(self.body(self.stem(x))))
        return self.classifier(x.mean((2, 3)))  # type: ignore[no-any-return]  # torch has no types here
