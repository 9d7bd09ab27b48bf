"""Every member of a small space, the slow way."""

from __future__ import annotations

import itertools

import numpy as np

from nas.search_spaces import Indices, SearchSpace


def members(space: SearchSpace) -> Indices:
    """[size, D] canonical rows, each once."""
    product = itertools.product(*(range(len(gene.choices)) for gene in space.genes))
    rows = np.array(list(product), dtype=np.int16).reshape(-1, len(space.genes))
    return np.unique(space.canonical(rows), axis=0)
