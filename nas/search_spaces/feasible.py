"""Members inside additive budgets: exact counts and uniform samples by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search_spaces.goals import Constraint
from nas.search_spaces.trellis import Trellis


class FeasibleSet:
    def __init__(self, trellises: Sequence[Trellis], constraints: Sequence[Constraint], genes: int) -> None:
        raise NotImplementedError

    @property
    def count(self) -> int:
        raise NotImplementedError

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int16]:
        raise NotImplementedError
