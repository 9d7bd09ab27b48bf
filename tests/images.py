"""Small image sets that tests share."""

from __future__ import annotations

import torch

from nas.data import ImageData, ImagePreprocessing, Split


def stripes(n: int = 160, size: int = 8, classes: int = 5, seed: int = 0) -> ImageData:
    """Images [N, 3, size, size] whose class is the place and colour of a bright stripe, under noise."""
    generator = torch.Generator().manual_seed(seed)

    def split(count: int) -> Split:
        labels = torch.arange(count) % classes
        images = torch.randint(0, 90, (count, 3, size, size), generator=generator)
        for i, label in enumerate(labels.tolist()):
            images[i, label % 3, label + 1] = 255
        return Split(images.to(torch.uint8), labels)

    names = tuple(f"stripe {k}" for k in range(classes))
    preprocessing = ImagePreprocessing(size, 3, (0.25, 0.25, 0.25), (0.25, 0.25, 0.25), names)
    return ImageData(
        "stripes", preprocessing, split(n), split(n // 4), split(n // 2), split(n // 2), flip=False, padding=0
    )
