"""Which examples a step trains on: their order, the own share of them, and how they are augmented."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.data.dataset import Dataset
from nas.training.parallel import ALONE, Group, check_shares, rows_of


class Batches:
    """The batches of a training. Order is drawn from (seed, epoch), augmentation from (seed, step).

    Args:
        data: The examples; the train split teaches.
        size: Examples a step, of all processes together; what is left over at an epoch's end waits for the next one.
        seed: Of order and augmentation.
        device: Where batches go.
        group: The processes that share every batch.

    Raises:
        UsageError: A batch does not divide into equal shares.
    """

    def __init__(self, data: Dataset, size: int, *, seed: int, device: str = "cpu", group: Group = ALONE) -> None:
        examples = data.size("train")
        check_shares(min(size, examples), group.size)
        self._data, self._size, self._seed, self._device, self._group = data, size, seed, device, group
        self._examples = examples
        self._order = -1, torch.empty(0, dtype=torch.int64)  # the epoch whose order of examples this is

    @property
    def digest(self) -> str:
        """Of the data set."""
        return self._data.digest

    @property
    def per_epoch(self) -> int:
        """Steps of one pass over the train split."""
        return max(1, self._examples // self._size)

    def rows(self, step: int) -> Tensor:
        """Positions in the train split of a step's whole batch [B], counted from step 0."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._order = epoch, torch.from_numpy(rng.permutation(self._examples))
        return self._order[1][position * self._size : (position + 1) * self._size]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The own share of a step's batch, augmented: inputs [B, ...] and targets [B, ...]."""
        rows = self.rows(step)
        generator = torch.Generator().manual_seed(seed_of(self._seed, 1, step))
        part = rows_of(self._group, len(rows))
        return self._data.batch("train", rows, generator=generator, part=part, device=self._device)

    def calibration(self, count: int | None = None) -> Tensor:
        """Inputs [N, ...] of the first `count` calibration rows, or of all, as they are."""
        return self._data.batch("calibration", slice(0, count), device=self._device)[0]


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
