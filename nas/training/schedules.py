"""Learning rates as functions of the share of training that is done."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]  # share done in 0..1 -> factor on the learning rate


def warmed_up(schedule: Schedule, share: float) -> Schedule:
    """Linear from 0 over the first `share` of training, then `schedule` over the rest."""

    def factor(done: float) -> float:
        return (done + 1e-3) / (share + 1e-3) if done < share else schedule((done - share) / (1 - share))

    return factor


def cosine(done: float) -> float:
    """Half a cosine from 1 to 0."""
    return (1 + math.cos(math.pi * done)) / 2


def exponential_with_constant_ending(floor: float, reached: float) -> Schedule:
    """Exponential decay from 1 to `floor` at share `reached`, constant from there (BigNAS, Yu et al. 2020).

    With the paper's 0.97 every 2.4 epochs the floor of 5 % is reached after two thirds of 360 epochs.
    """
    return lambda done: max(floor, floor ** (done / reached))
