"""Which examples a step trains on: their order, the own share of them, and how they are augmented."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.dataset import Dataset
from nas.training.parallel import ALONE, Group, check_shares, rows_of
from nas.training.settings import Settings


class Batches:
    """The batches of a training. Order is drawn from (seed, epoch), augmentation from (seed, step).

    Args:
        data: The examples; the train split teaches.
        settings: The run; what is left over at an epoch's end is left out of it.
        group: The processes that share every batch.

    Raises:
        UsageError: A batch does not divide into equal shares.
    """

    def __init__(self, data: Dataset, settings: Settings, *, group: Group = ALONE) -> None:
        self._data, self.settings, self.group = data, settings, group
        self._examples = data.size("train")
        check_shares(min(settings.batch_size, self._examples), group.size)
        self._order = -1, torch.empty(0, dtype=torch.int64)  # the epoch whose order of examples this is

    @property
    def digest(self) -> str:
        """Of the data set."""
        return self._data.digest

    def adapted(self, network: nn.Module) -> nn.Module:
        """The network as batches are given to it; shares its weights."""
        return self._data.adapted(network)

    @property
    def per_epoch(self) -> int:
        """Steps of one pass over the train split."""
        return max(1, self._examples // self.settings.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * self.per_epoch

    def rows(self, step: int) -> Tensor:
        """Positions in the train split of a step's whole batch [B], counted from step 0."""
        epoch, position = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng((self.settings.seed, 0, epoch))
            self._order = epoch, torch.from_numpy(rng.permutation(self._examples))
        size = self.settings.batch_size
        return self._order[1][position * size : (position + 1) * size]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The own share of a step's batch, augmented: inputs [B, ...] and targets [B, ...]."""
        rows = self.rows(step)
        generator = torch.Generator().manual_seed(seed_of(self.settings.seed, 1, step))
        part = rows_of(self.group, len(rows))
        return self._data.batch("train", rows, generator=generator, part=part, device=self.settings.device)

    def calibration(self, count: int | None = None) -> Tensor:
        """Inputs [N, ...] of the first `count` calibration rows, or of all, as they are."""
        return self._data.batch("calibration", slice(0, count), device=self.settings.device)[0]


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
