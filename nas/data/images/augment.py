"""Flips and crops of a whole batch at once, before normalisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(
    images: Tensor, *, flip: bool, padding: int, generator: torch.Generator, part: slice = slice(None)
) -> Tensor:
    """Move every image by up to `padding` pixels over a black border, and mirror every second one on average.

    Args:
        images: uint8 [B, C, H, W], on any device.
        flip: Whether to mirror.
        padding: Greatest shift in pixels; 0 leaves images where they are.
        generator: On the CPU, so that every device sees the same draws, each made only where it is used: the crops'
            top rows and left columns, randint(0, 2 padding + 1) [B, 2], then which are mirrored, rand [B] < 1/2.
        part: Which of the images to augment and return; draws are made for all, so that parts equal the whole's.

    Returns:
        uint8 [B, C, H, W], on the images' device; of `part` alone.
    """
    count, channels, height, width = images.shape
    rows = torch.arange(height).expand(count, -1)
    columns = torch.arange(width).expand(count, -1)
    shifts = torch.zeros(count, 2, dtype=torch.int64)
    if padding:
        shifts = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator)
    if flip:
        # The crop is what is mirrored, so its columns turn round before they are shifted.
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    rows, columns = (rows + shifts[:, :1])[part], (columns + shifts[:, 1:])[part]
    images, count = images[part], len(rows)
    pixels = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]
    # One index for all channels, sent to the device before it is repeated for each.
    index = pixels.view(count, 1, height * width).to(images.device).expand(-1, channels, -1)
    padded = functional.pad(images, (padding,) * 4).flatten(2)
    return padded.gather(2, index).view(count, channels, height, width)
