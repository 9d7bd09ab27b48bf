"""The contract of a data set: a task, three splits and calibration rows, and batches made ready for networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nas.data.preprocessing import Preprocessing
from nas.errors import UnknownName
from nas.task import Task

SplitName = Literal["train", "calibration", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


class Dataset(ABC):
    """Examples of one task. No row of one split is one of another.

    `train` teaches, `validation` is what a search selects on, `test` is what no search sees; `calibration` are rows
    for batch-norm statistics.
    """

    spec: str  # what `nas.data.load` was asked for
    preprocessing: Preprocessing  # what a network of these data needs to be used

    @property
    @abstractmethod
    def task(self) -> Task:
        """What it is for."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any example, target or setting."""

    @abstractmethod
    def size(self, split: SplitName) -> int:
        """Examples of a split.

        Raises:
            UnknownName: No such split.
        """

    @abstractmethod
    def batch(
        self,
        split: SplitName,
        rows: Sequence[int] | Tensor | slice,
        *,
        generator: torch.Generator | None = None,
        part: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> tuple[Tensor, Tensor]:
        """Inputs as networks take them, and targets.

        Args:
            split: Which split.
            rows: Positions in it, or a slice.
            generator: Augments, with every draw from it, which lives on the CPU; None gives examples as they are.
            part: Which of the rows to return; draws are made for all, so that parts equal the whole's.
            device: Where the batch goes.

        Returns:
            Inputs [B, *task.input_shape] and targets [B, ...].
        """

    @abstractmethod
    def only(self, splits: Collection[SplitName]) -> Dataset:
        """Without the rows of other splits, for a process that does not look at them."""

    def adapted(self, network: nn.Module) -> nn.Module:
        """The network as batches are given to it; shares its weights."""
        return network


def check_split(split: str) -> None:
    """Refuse a name that is no split.

    Raises:
        UnknownName: Names the nearest.
    """
    if split not in SPLITS:
        raise UnknownName("split", split, SPLITS)
