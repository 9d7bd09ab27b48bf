"""The sandwich rule for short training: BigNAS without its regularisation, a cosine to zero, labels for everyone.

BigNAS's exponential decay and label-free small networks are made for hundreds of epochs and averaged weights;
results/LOG.md has what each of them costs in eight.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nas.search_spaces import SearchSpace
from nas.supernets.rules.bignas import zero_init_residuals
from nas.supernets.rules.samplers import Sandwich
from nas.training import Phase, Slot, TrainingRule
from nas.training.losses import label_loss, soft_loss, soft_targets
from nas.training.schedules import cosine, warmed_up


@dataclass(frozen=True, slots=True)
class LabelsAndLargest:
    """The largest learns from labels, all others from labels and from its detached probabilities.

    Args:
        labels: Share of the labels in the loss of the others; 0 is BigNAS's in-place distillation.
        smoothing: Share of a label spread over all classes.
    """

    labels: float = 0.5
    smoothing: float = 0.1

    def __call__(self, logits: Tensor, labels: Tensor, slot: Slot, soft: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network; the largest hands its probabilities on."""
        by_labels = label_loss(logits, labels, self.smoothing)
        if slot.role == "largest":
            return by_labels, soft_targets(logits)
        assert soft is not None, "the largest network must come first"
        return self.labels * by_labels + (1 - self.labels) * soft_loss(logits, soft), soft


def phases(space: SearchSpace) -> list[Phase]:
    """One phase over everything."""
    return [Phase("sandwich", 1.0, 1.0, warmed_up(cosine, 0.03), Sandwich(middle=2), LabelsAndLargest())]


RULE = TrainingRule("sandwich", phases, learning_rate=0.6, weight_decay=1e-5, initialise=zero_init_residuals)
