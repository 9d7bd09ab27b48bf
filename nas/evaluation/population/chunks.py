"""The examples of an evaluation, chunk by chunk."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nas.data.dataset import Dataset, SplitName
from nas.supernets import equal_parts


@final
class Chunks:
    """Calibration batches first, in their own order; then what is scored, in a random one.

    Racing needs the examples of each round to be a random sample of all. Only rows are held: inputs are made ready
    when a chunk is asked for.

    Args:
        data: The examples.
        split: What is scored.
        calibration: Most examples of a calibration batch; None: nothing is calibrated.
        batch_size: Most examples of the other chunks.
        device: Where batches go.
    """

    def __init__(
        self, data: Dataset, split: SplitName, *, calibration: int | None, batch_size: int, device: torch.device
    ) -> None:
        self._data, self._split, self._device = data, split, device
        order = torch.randperm(data.size(split), generator=torch.Generator().manual_seed(0))
        first = () if calibration is None else equal_parts(torch.arange(data.size("calibration")), calibration)
        self._rows = (*first, *equal_parts(order, batch_size))
        self.calibration, self.scored = range(len(first)), range(len(first), len(self._rows))
        self.sizes = [len(rows) for rows in self._rows]
        self.examples = len(order)  # that are scored

    def __getitem__(self, chunk: int) -> tuple[Tensor, Tensor]:
        """Inputs [B, ...] and targets [B, ...]."""
        split: SplitName = "calibration" if chunk in self.calibration else self._split
        return self._data.batch(split, self._rows[chunk], device=self._device)
