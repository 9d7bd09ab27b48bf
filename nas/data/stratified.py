"""The fixed order from which all data sets cut their splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The splits of a data set never change: figures on them stay comparable.
SPLIT_SEED = 20_260


def interleaved(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A fixed shuffle in which every prefix holds the classes in nearly their overall proportions."""
    rng = np.random.default_rng(SPLIT_SEED)
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        mine = shuffled[labels[shuffled] == label]
        place[mine] = (np.arange(len(mine)) + rng.random()) / len(mine)
    return shuffled[np.argsort(place[shuffled], kind="stable")]
