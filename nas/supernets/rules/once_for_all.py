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
from nas.supernets.rules.samplers import ElasticChoices, LargestNetwork, RandomNetworks
from nas.supernets.supernet import Supernet
from nas.task import Task
from nas.training import Phase, SmoothedTargets, SubNetwork, TrainingRule
from nas.training.schedules import cosine, warmed_up


@dataclass(frozen=True, slots=True)
class TeacherAndTargets:
    """The data's targets, plus `weight` times the soft targets of the frozen teacher."""

    weight: float = 1.0
    smoothing: float = 0.1

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of one sub-network; the teacher's soft targets pass through."""
        assert soft is not None, "progressive shrinking needs its teacher"
        return task.loss(outputs, targets, smoothing=self.smoothing) + self.weight * task.distil(outputs, soft), soft


def sort_for_width(network: nn.Module, *, elastic: ElasticChoices) -> None:
    """Sort channels, keeping what the `elastic` choices already use."""
    assert isinstance(network, Supernet)
    lowest = elastic.lowest(network.space).tolist()
    sort_channels(network, network.groups, dict(zip(network.space.names, lowest, strict=True)))


def frozen_largest(network: nn.Module, inputs: Tensor) -> nn.Module:
    """The largest network as it is now, as a plain network with calibrated statistics."""
    assert isinstance(network, Supernet)
    largest = network.space.largest()
    return network.extract(largest, calibrate(network, [largest], inputs)[0])


def _most_choices(space: SearchSpace) -> tuple[int, int, int]:
    """The most choices that any gene has of kernel, of depth, and of width or expansion."""
    counts = {"kernel": 1, "depth": 1, "width": 1, "expansion": 1}
    for gene in space.genes:
        counts[gene.kind] = max(counts.get(gene.kind, 1), len(gene.choices))
    return counts["kernel"], counts["depth"], max(counts["width"], counts["expansion"])


def phases(space: SearchSpace) -> list[Phase]:
    """The phases that make something elastic that this space has choices of."""
    kernels, depths, widths = _most_choices(space)
    slow = warmed_up(cosine, 0.05)
    largest = LargestNetwork(any_resolution=True)
    plan = [Phase("largest", 0.20, 1.0, warmed_up(cosine, 0.03), largest, SmoothedTargets())]

    def shrink(
        name: str, share: float, count: int, elastic: ElasticChoices, *, sort: ElasticChoices | None = None
    ) -> None:
        plan.append(
            Phase(
                name, share, 1.0, slow, RandomNetworks(count, elastic), TeacherAndTargets(),
                prepare=None if sort is None else partial(sort_for_width, elastic=sort),
                teacher=frozen_largest if len(plan) == 1 else None,
            )
        )  # fmt: skip

    if kernels > 1:
        shrink("elastic kernel", 0.10, 1, ElasticChoices(kernels))
    if depths > 2:
        shrink("elastic depth 1", 0.05, 2, ElasticChoices(kernels, 2))
    if depths > 1:
        shrink("elastic depth 2", 0.10, 2, ElasticChoices(kernels, depths))
    if widths > 2:
        shrink("elastic width 1", 0.05, 4, ElasticChoices(kernels, depths, 2, 2), sort=ElasticChoices())
    if widths > 1:
        earlier = ElasticChoices(width=2, expansion=2) if widths > 2 else ElasticChoices()
        shrink("elastic width 2", 0.50, 4, ElasticChoices(kernels, depths, widths, widths), sort=earlier)
    return plan


RULE = TrainingRule(
    name="ofa",
    phases=phases,
    learning_rate=0.3,
    weight_decay=3e-5,
    dropout=0.1,
    regularised=frozenset({"largest", "random"}),
)
