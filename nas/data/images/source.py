"""What a reader of a data set hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 [N, C, S, S] with labels int64 [N]."""

    images: Images
    labels: Labels


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it was published, before we split it.

    Args:
        training: The training part, or everything where the set has no test part.
        test: The test part, images of the same shape; None where the set has none.
        class_names: One name a class.
        flip: Whether a mirrored image keeps its class.
    """

    training: Part
    test: Part | None
    class_names: tuple[str, ...]
    flip: bool
