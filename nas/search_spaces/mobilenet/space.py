"""The MobileNet space of Once-for-All (Cai et al. 2020) and BigNAS (Yu et al. 2020).

Per stage a width and a depth, per block a kernel size and an expansion ratio, and the input resolution.
Every decision with a single choice is not a gene.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, final

from nas.search_spaces.architecture import Architecture
from nas.search_spaces.cost_terms import CostTerm
from nas.search_spaces.gene import Gene
from nas.search_spaces.mobilenet.config import MobileNetConfig, StageSpec, block_plan, check
from nas.search_spaces.mobilenet.costs import cost_terms
from nas.search_spaces.mobilenet.plan import BlockPlan, NetworkPlan
from nas.search_spaces.reading import read_description
from nas.search_spaces.space import SearchSpace
from nas.task import ImageClassification

KEPT_PLANS = 4096  # at a few kilobytes each


@final
class MobileNetSpace(SearchSpace):
    """All sub-networks of one MobileNet supernet.

    Args:
        config: The choices, already fitted to the input size.
        task: What its networks take and give.
        preset: The preset's name, for people to read.
    """

    name = "mobilenet"
    version = 1
    task: ImageClassification

    def __init__(self, config: MobileNetConfig, *, task: ImageClassification, preset: str = "custom") -> None:
        check(config, task.size)
        self.config, self.task, self.preset = config, task, preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Resolution, then per stage width, depth, and per block kernel and expansion."""
        genes = [Gene("resolution", self.config.resolutions, "resolution")]
        for s, spec in enumerate(self.config.stages):
            genes += [Gene(f"stage{s}.width", spec.widths, "width"), Gene(f"stage{s}.depth", spec.depths, "depth")]
            for b in range(spec.depths[-1]):
                reached = {f"stage{s}.depth": tuple(depth for depth in spec.depths if depth > b)}
                conditions = reached if b >= spec.depths[0] else {}
                genes += [
                    Gene(f"stage{s}.block{b}.kernel", spec.kernels, "kernel", conditions),
                    Gene(f"stage{s}.block{b}.expansion", spec.expansions, "expansion", conditions),
                ]
        return tuple(gene for gene in genes if len(gene.choices) > 1)

    @cached_property
    def cost_terms(self) -> tuple[CostTerm, ...]:
        """One for each block, and one for stem and head."""
        return cost_terms(self.config, self.genes, self._planned)

    def plan(self, arch: Architecture) -> NetworkPlan:
        """Every shape of the network that `arch` builds.

        Raises:
            UsageError: `arch` is not of this space.
        """
        known = self._plans.get(arch)
        if known is None:
            if len(self._plans) >= KEPT_PLANS:
                self._plans.clear()
            known = self._plans[arch] = self._planned(self._chosen(arch))
        return known

    @cached_property
    def _plans(self) -> dict[Architecture, NetworkPlan]:
        """The latest plans: every pass through a supernet asks for one."""
        return {}

    def _chosen(self, arch: Architecture) -> dict[str, int]:
        self.require(arch)
        return {name: int(value) for name, value in arch.genes.items()}

    def _planned(self, chosen: Mapping[str, int]) -> NetworkPlan:
        """The network of these genes; whatever else there is to choose takes its first choice."""
        c = self.config
        resolution = chosen.get("resolution", c.resolutions[0])
        size, channels, blocks = -(-resolution // c.stem_stride), c.stem_channels, list[BlockPlan]()
        for s, spec in enumerate(c.stages):
            width = chosen.get(f"stage{s}.width", spec.widths[0])
            for b in range(chosen.get(f"stage{s}.depth", spec.depths[0])):
                kernel = chosen.get(f"stage{s}.block{b}.kernel", spec.kernels[0])
                expansion = chosen.get(f"stage{s}.block{b}.expansion", spec.expansions[0])
                blocks.append(block_plan(c, s, b, channels, width, kernel, expansion, size))
                channels, size = width, blocks[-1].out_size
        return NetworkPlan(
            self.task.size, self.task.channels, resolution, c.stem_channels, c.stem_stride, c.stem_activation,
            tuple(blocks), c.head_channels, c.mix_channels, self.task.classes,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Name, version, task and the whole configuration."""
        return {
            "name": self.name,
            "version": self.version,
            "preset": self.preset,
            "task": self.task.to_json(),
            "config": _plain(asdict(self.config)),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> MobileNetSpace:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        config, task, preset = read_description(cls, document, _config_in, ImageClassification)
        return cls(config, task=task, preset=preset)


def _config_in(document: Mapping[str, Any]) -> MobileNetConfig:
    fields = {name: _tuples(value) for name, value in document.items() if name != "stages"}
    stages = (StageSpec(**{name: _tuples(value) for name, value in stage.items()}) for stage in document["stages"])
    return MobileNetConfig(stages=tuple(stages), **fields)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
