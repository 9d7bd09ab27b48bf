"""What networks answer, measured example by example: of one network, and of a population."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nas.data.dataset import Dataset, SplitName
from nas.evaluation.evaluator import PARTIAL, Metrics
from nas.task import Task


@torch.no_grad()
def score(
    network: nn.Module, data: Dataset, split: SplitName, *, batch_size: int = 500, device: torch.device | str = "cpu"
) -> Metrics:
    """The task's metrics of a network in eval mode, with their standard errors.

    Args:
        network: Maps inputs to outputs.
        data: The examples.
        split: Those of which.
        batch_size: Examples a pass.
        device: Where the network is.
    """
    task, count = data.task, data.size(split)
    sums = squares = torch.zeros(len(task.measures), dtype=torch.float64)
    for start in range(0, count, batch_size):
        inputs, targets = data.batch(split, slice(start, start + batch_size), device=device)
        measures = task.measure(network(inputs), targets).double()
        sums, squares = sums + measures.sum(0).cpu(), squares + measures.square().sum(0).cpu()
    return task.summary(sums.tolist(), squares.tolist(), count)


@final
class Scores:
    """The measures of each member of a population on each example, as far as it was evaluated.

    Args:
        members: How many.
        task: What they are for.
        examples: How many there are in all.
        device: Where outputs are.
    """

    def __init__(self, members: int, task: Task, examples: int, device: torch.device | str = "cpu") -> None:
        self.task = task
        # One plane a measure, so that a sum over examples reads memory in order.
        self.values = torch.zeros(len(task.measures), members, examples, device=device)
        self.counts = [0] * members  # examples that each member has seen

    @property
    def examples(self) -> int:
        """How many there are in all."""
        return self.values.shape[2]

    def add(self, member: int, start: int, outputs: Tensor, targets: Tensor) -> None:
        """Take the outputs [B, ...] for the examples from `start` on."""
        end = start + len(outputs)
        self.values[:, member, start:end] = self.task.measure(outputs, targets).T
        self.counts[member] = end

    def metrics(self) -> list[Metrics]:
        """The task's metrics of each member on the examples that it has seen, with their standard errors.

        A member that was stopped early says so: `partial_images` is how many examples it has seen.
        """
        sums = torch.stack([plane.sum(1, dtype=torch.float64) for plane in self.values], 1).tolist()
        squares = torch.stack([plane.square().sum(1, dtype=torch.float64) for plane in self.values], 1).tolist()
        metrics = []
        for count, total, square in zip(self.counts, sums, squares, strict=True):
            partial = {} if count == self.examples else {PARTIAL: float(count)}
            metrics.append(self.task.summary(total, square, count) | partial)
        return metrics
