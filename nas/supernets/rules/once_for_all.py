"""Once-for-All (Cai et al. 2020): progressive shrinking with distillation from the frozen largest network.

Phases: the largest network; elastic kernel (1 sub-network a step); elastic depth (2 a step), elastic width (4 a step),
the last two in two steps of one more choice each. Channels are sorted before each width phase.
Shares of the steps are ours, for short training, and so is the full learning rate in every phase; the paper's are
180 + 120 + 25 + 120 + 25 + 120 epochs, and rates that fall to a quarter of the kernel phase's.
The teacher sees a batch at full resolution and normalises by calibrated statistics, where the released code
normalises by the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from nas.search_spaces import SearchSpace
from nas.supernets.calibration import calibrate
from nas.supernets.groups import sort_channels
from nas.supernets.rules.samplers import LargestNetwork, Opened, RandomNetworks
from nas.supernets.supernet import Supernet
from nas.training import Phase, Slot, SmoothedLabels, TrainingRule
from nas.training.losses import label_loss, soft_loss
from nas.training.schedules import cosine, warmed_up


@dataclass(frozen=True, slots=True)
class TeacherAndLabels:
    """Labels, plus `weight` times the probabilities of the frozen teacher."""

    weight: float = 1.0
    smoothing: float = 0.1

    def __call__(self, logits: Tensor, labels: Tensor, slot: Slot, soft: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network; the teacher's probabilities pass through."""
        assert soft is not None, "progressive shrinking needs its teacher"
        return label_loss(logits, labels, self.smoothing) + self.weight * soft_loss(logits, soft), soft


def sort_for_width(network: nn.Module, *, opened: Opened) -> None:
    """Sort channels, keeping what the `opened` choices already use."""
    assert isinstance(network, Supernet)
    lowest = opened.lowest(network.space).tolist()
    sort_channels(network, network.groups, dict(zip(network.space.names, lowest, strict=True)))


def frozen_largest(network: nn.Module, images: Tensor) -> nn.Module:
    """The largest network as it is now, as a plain network with calibrated statistics."""
    assert isinstance(network, Supernet)
    largest = network.space.largest()
    return network.extract(largest, calibrate(network, [largest], images)[0])


def _opened_counts(space: SearchSpace) -> tuple[int, int, int]:
    """The most choices that any gene has of kernel, of depth, and of width or expansion."""
    counts = {"kernel": 1, "depth": 1, "width": 1, "expansion": 1}
    for gene in space.genes:
        counts[gene.kind] = max(counts.get(gene.kind, 1), len(gene.choices))
    return counts["kernel"], counts["depth"], max(counts["width"], counts["expansion"])


def phases(space: SearchSpace) -> list[Phase]:
    """The phases that open something new in this space."""
    kernels, depths, widths = _opened_counts(space)
    slow = warmed_up(cosine, 0.05)
    plan = [Phase("largest", 0.20, 1.0, warmed_up(cosine, 0.03), LargestNetwork(any_resolution=True), SmoothedLabels())]

    def elastic(name: str, share: float, count: int, opened: Opened, *, sort: Opened | None = None) -> None:
        plan.append(
            Phase(
                name, share, 1.0, slow, RandomNetworks(count, opened), TeacherAndLabels(),
                prepare=None if sort is None else partial(sort_for_width, opened=sort),
                teacher=frozen_largest if len(plan) == 1 else None,
            )
        )  # fmt: skip

    if kernels > 1:
        elastic("elastic kernel", 0.10, 1, Opened(kernels))
    if depths > 2:
        elastic("elastic depth 1", 0.05, 2, Opened(kernels, 2))
    if depths > 1:
        elastic("elastic depth 2", 0.10, 2, Opened(kernels, depths))
    if widths > 2:
        elastic("elastic width 1", 0.05, 4, Opened(kernels, depths, 2, 2), sort=Opened())
    if widths > 1:
        opened = Opened(width=2, expansion=2) if widths > 2 else Opened()
        elastic("elastic width 2", 0.50, 4, Opened(kernels, depths, widths, widths), sort=opened)
    return plan


RULE = TrainingRule(
    name="ofa",
    phases=phases,
    learning_rate=0.3,
    weight_decay=3e-5,
    dropout=0.1,
    regularised=frozenset({"largest", "random"}),
)
