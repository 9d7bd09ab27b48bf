"""The space of NAS-Bench-201: one cell of four nodes, repeated in three stages (Dong and Yang 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from nas.errors import UnknownName, UsageError
from nas.search_spaces.cost_terms import Chosen, CostTerm, tabulated
from nas.search_spaces.gene import Gene
from nas.search_spaces.reading import read_description, require_kind
from nas.search_spaces.space import SearchSpace
from nas.task import ImageClassification, Task

OPERATIONS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # from, to
STAGES = 3
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready-made size of the networks.

    Args:
        summary: One line for people.
        task: What it is shown with, and made for where nobody says.
        channels: Of the first stage.
        cells: In each stage.
    """

    summary: str
    task: ImageClassification
    channels: int
    cells: int


PRESETS = {
    "full": Preset("the benchmark's own networks", ImageClassification(32, 3, 10), 16, 5),
    "tiny": Preset("the same cells in small networks, for trying things out", ImageClassification(8, 3, 10), 4, 1),
}


@final
class NasBench201Space(SearchSpace):
    """All 15,625 cells; every edge has one of five operations, and all exist.

    Args:
        channels: Of the first stage; each later one has twice as many.
        cells: In each stage.
        task: Images whose height and width are a multiple of 4.
        preset: The name of these settings.

    Raises:
        UsageError: A count is not positive, or the images do not halve twice.
    """

    name = "nasbench201"
    version = 1
    task: ImageClassification

    def __init__(self, *, channels: int, cells: int, task: ImageClassification, preset: str = "custom") -> None:
        if min(channels, cells) < 1:
            raise UsageError("a nasbench201 space needs positive channels and cells")
        if task.size % 4:
            raise UsageError(f"nasbench201 halves its images twice; {task.size} pixels are no multiple of 4")
        self.channels, self.cells = channels, cells
        self.task, self.preset = task, preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The operation of each edge."""
        return tuple(Gene(f"{source}-{target}.op", OPERATIONS, "operation") for source, target in EDGES)

    @property
    def stages(self) -> list[tuple[int, int]]:
        """(channels, map size) of each stage."""
        return [(self.channels << stage, self.task.size >> stage) for stage in range(STAGES)]

    @cached_property
    def cost_terms(self) -> tuple[CostTerm, ...]:
        """One for each edge of the cell, and a constant."""
        return (
            tabulated((), lambda _: self._frame_cost()),
            *(tabulated((gene,), self._edge_cost) for gene in self.genes),
        )

    def _edge_cost(self, chosen: Chosen) -> tuple[int, int]:
        """Params and macs that an edge with this operation adds to all cells together."""
        (operation,) = chosen.values()
        params = macs = 0
        if operation in _KERNELS:
            for channels, size in self.stages:
                weights = channels**2 * _KERNELS[str(operation)] ** 2
                params += self.cells * (weights + 2 * channels)
                macs += self.cells * weights * size**2
        return params, macs

    def _frame_cost(self) -> tuple[int, int]:
        """Params and macs of stem, reductions, last norm and classifier."""
        first, size = self.stages[0]
        stem = self.task.channels * first * 9
        params, macs = stem + 2 * first, stem * size**2
        for (narrow, _), (wide, half) in zip(self.stages, self.stages[1:], strict=False):
            weights = narrow * wide * 9 + wide**2 * 9 + narrow * wide
            params, macs = params + weights + 4 * wide, macs + weights * half**2
        last = self.stages[-1][0]
        return params + 2 * last + (last + 1) * self.task.classes, macs + last * self.task.classes

    def to_json(self) -> dict[str, Any]:
        """See `SearchSpace`."""
        return {
            "name": self.name, "version": self.version, "preset": self.preset,
            "config": {"channels": self.channels, "cells": self.cells}, "task": self.task.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> NasBench201Space:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        counts, task, preset = read_description(cls, document, _counts_in, ImageClassification)
        return cls(**counts, task=task, preset=preset)


def _counts_in(document: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(document[name]) for name in ("channels", "cells")}


def build(task: Task | None, preset: str | None) -> NasBench201Space:
    """The space with a preset's width, depth and task; None takes the benchmark's own.

    Raises:
        UnknownName: No such preset.
        UsageError: See `NasBench201Space`.
    """
    preset = preset or "full"
    if preset not in PRESETS:
        raise UnknownName("preset of space 'nasbench201'", preset, PRESETS)
    chosen = PRESETS[preset]
    images = require_kind("nasbench201", chosen.task if task is None else task, ImageClassification)
    return NasBench201Space(channels=chosen.channels, cells=chosen.cells, task=images, preset=preset)
