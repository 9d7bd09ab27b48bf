"""The space of NAS-Bench-201: one cell of four nodes, repeated in three stages (Dong and Yang 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from nas.errors import UnknownName, UsageError
from nas.search_spaces.cost_terms import Chosen, CostTerm, tabulated
from nas.search_spaces.gene import Gene
from nas.search_spaces.space import SearchSpace

OPERATIONS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # from, to
STAGES = 3
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready-made size of the networks.

    Args:
        summary: One line for people.
        input_size: Height and width of the images to show it with.
        channels: Of the first stage.
        cells: In each stage.
    """

    summary: str
    input_size: int
    channels: int
    cells: int


PRESETS = {
    "full": Preset("the benchmark's own networks", 32, 16, 5),
    "tiny": Preset("the same cells in small networks, for trying things out", 8, 4, 1),
}


@final
class NasBench201Space(SearchSpace):
    """All 15,625 cells; every edge has one of five operations, and all exist.

    Args:
        channels: Of the first stage; each later one has twice as many.
        cells: In each stage.
        input_size: Height and width of the images, a multiple of 4.
        in_channels: Their channels.
        num_classes: Number of classes.
        preset: The name of these settings.

    Raises:
        UsageError: A count is not positive, or the images do not halve twice.
    """

    name = "nasbench201"
    version = 1

    def __init__(
        self, *, channels: int, cells: int, input_size: int, in_channels: int, num_classes: int, preset: str = "custom"
    ) -> None:
        if min(channels, cells, input_size, in_channels, num_classes) < 1:
            raise UsageError("a nasbench201 space needs positive channels, cells, image size, image channels, classes")
        if input_size % 4:
            raise UsageError(f"nasbench201 halves its images twice; {input_size} pixels are no multiple of 4")
        self.channels, self.cells = channels, cells
        self.input_size, self.in_channels, self.num_classes = input_size, in_channels, num_classes
        self.preset = preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The operation of each edge."""
        return tuple(Gene(f"{source}-{target}.op", OPERATIONS, "operation") for source, target in EDGES)

    @property
    def stages(self) -> list[tuple[int, int]]:
        """(channels, map size) of each stage."""
        return [(self.channels << stage, self.input_size >> stage) for stage in range(STAGES)]

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
        stem = self.in_channels * first * 9
        params, macs = stem + 2 * first, stem * size**2
        for (narrow, _), (wide, half) in zip(self.stages, self.stages[1:], strict=False):
            weights = narrow * wide * 9 + wide**2 * 9 + narrow * wide
            params, macs = params + weights + 4 * wide, macs + weights * half**2
        last = self.stages[-1][0]
        return params + 2 * last + (last + 1) * self.num_classes, macs + last * self.num_classes

    def to_json(self) -> dict[str, Any]:
        """See `SearchSpace`."""
        return {
            "name": self.name, "version": self.version, "preset": self.preset,
            "config": {"channels": self.channels, "cells": self.cells}, "input_size": self.input_size,
            "in_channels": self.in_channels, "num_classes": self.num_classes,
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> NasBench201Space:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        if document.get("version") != cls.version:
            raise UsageError(f"space {cls.name!r} has version {cls.version}, the file has {document.get('version')!r}")
        try:
            counts = {name: int(document["config"][name]) for name in ("channels", "cells")}
            task = {name: int(document[name]) for name in ("input_size", "in_channels", "num_classes")}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not the description of a {cls.name} space: {error}") from None
        return cls(**counts, **task, preset=str(document.get("preset", "custom")))


def build(*, input_size: int, in_channels: int, num_classes: int, preset: str | None) -> NasBench201Space:
    """The space with a preset's width and depth; None takes the benchmark's own.

    Raises:
        UnknownName: No such preset.
        UsageError: See `NasBench201Space`.
    """
    preset = preset or "full"
    if preset not in PRESETS:
        raise UnknownName("preset of space 'nasbench201'", preset, PRESETS)
    return NasBench201Space(
        channels=PRESETS[preset].channels, cells=PRESETS[preset].cells, input_size=input_size,
        in_channels=in_channels, num_classes=num_classes, preset=preset,
    )  # fmt: skip
