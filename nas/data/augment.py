"""Flips and crops of a whole batch at once, before normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor


def augment(images: Tensor, *, flip: bool, padding: int, generator: torch.Generator) -> Tensor:
    """Move every image by up to `padding` pixels over a black border, and mirror every second one on average.

    Args:
        images: uint8 [B, C, H, W], on any device.
        flip: Whether to mirror.
        padding: Greatest shift in pixels; 0 leaves images where they are.
        generator: On the CPU, so that every device sees the same draws: [B, 2] shifts, then [B] flips.

    Returns:
        uint8 [B, C, H, W].
    """
    count, _, height, width = images.shape
    device = images.device
    if padding:
        shifts = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator).to(device)
        padded = F.pad(images, (padding,) * 4)
        rows = (shifts[:, :1] + torch.arange(height, device=device))[:, None, :, None]  # [B, 1, H, 1]
        columns = (shifts[:, 1:] + torch.arange(width, device=device))[:, None, None, :]  # [B, 1, 1, W]
        channels = torch.arange(images.shape[1], device=device)[None, :, None, None]
        images = padded[torch.arange(count, device=device)[:, None, None, None], channels, rows, columns]
    if flip:
        mirrored = (torch.rand(count, generator=generator) < 0.5).to(device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images
