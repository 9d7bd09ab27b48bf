"""The MobileNet space of Once-for-All (Cai et al. 2020) and BigNAS (Yu et al. 2020).

Per stage a width and a depth, per block a kernel size and an expansion ratio, and the input resolution.
Every decision with a single choice is not a gene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.search_spaces.architecture import Architecture
from nas.search_spaces.mobilenet.costs import CostTables
from nas.search_spaces.mobilenet.plan import Activation, BlockPlan, NetworkPlan, Shortcut, make_divisible
from nas.search_spaces.space import Gene, Indices, SearchSpace
from nas.search_spaces.trellis import Edge, Trellis

KEPT_PLANS = 4096  # at a few kilobytes each


@dataclass(frozen=True, slots=True)
class StageSpec:
    """The choices of one stage; all tuples ascending.

    Args:
        widths: Output channels.
        depths: Numbers of blocks.
        kernels: Depthwise kernel sizes, odd.
        expansions: Expansion ratios.
        stride: Stride of the first block.
        activation: Nonlinearity.
        squeeze: Whether blocks have squeeze-excitation.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    stride: int
    activation: Activation
    squeeze: bool


@dataclass(frozen=True, slots=True)
class MobileNetConfig:
    """What a MobileNet space is made of.

    Args:
        resolutions: Input resolutions, ascending.
        stem_channels: Output channels of the stem.
        stem_stride: Its stride.
        stem_activation: Its nonlinearity.
        stages: The stages.
        head_channels: Output channels of the 1x1 convolution before pooling.
        mix_channels: Features of the linear layer after pooling; 0 for none.
        kernel_transform: "learned" multiplies each smaller kernel by a matrix (Once-for-All), "crop" takes the centre.
        transition_shortcuts: Whether blocks that change shape have a shortcut too (BigNAS).
    """

    resolutions: tuple[int, ...]
    stem_channels: int
    stem_stride: int
    stem_activation: Activation
    stages: tuple[StageSpec, ...]
    head_channels: int
    mix_channels: int
    kernel_transform: Literal["learned", "crop"]
    transition_shortcuts: bool


@final
class MobileNetSpace(SearchSpace):
    """All sub-networks of one MobileNet supernet.

    Args:
        config: The choices, already fitted to the input size.
        input_size: Height and width of the images.
        in_channels: Their channels.
        num_classes: Outputs.
        preset: The preset's name, for people to read.
    """

    name = "mobilenet"
    version = 1

    def __init__(
        self, config: MobileNetConfig, *, input_size: int, in_channels: int, num_classes: int, preset: str = "custom"
    ) -> None:
        for what, value in (("input_size", input_size), ("in_channels", in_channels), ("num_classes", num_classes)):
            if value < 1:
                raise UsageError(f"{what} must be at least 1, got {value}")
        _check(config, input_size)
        self.config = config
        self.input_size = input_size
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.preset = preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Resolution, then per stage width, depth, and per block kernel and expansion."""
        genes = [Gene("resolution", self.config.resolutions)]
        for s, spec in enumerate(self.config.stages):
            genes += [Gene(f"stage{s}.width", spec.widths), Gene(f"stage{s}.depth", spec.depths)]
            for b in range(spec.depths[-1]):
                genes += [
                    Gene(f"stage{s}.block{b}.kernel", spec.kernels),
                    Gene(f"stage{s}.block{b}.expansion", spec.expansions),
                ]
        return tuple(gene for gene in genes if len(gene.choices) > 1)

    @cached_property
    def position(self) -> dict[str, int]:
        """Gene position by name."""
        return {name: d for d, name in enumerate(self.names)}

    def exists(self, indices: Indices) -> NDArray[np.bool_]:
        """A block's genes exist below the depth of its stage; all others always."""
        out = np.ones(indices.shape, dtype=bool)
        for s, spec in enumerate(self.config.stages):
            depth_at = self.position.get(f"stage{s}.depth")
            if depth_at is None:
                continue
            depth = np.array(spec.depths)[indices[:, depth_at]]
            for b in range(spec.depths[0], spec.depths[-1]):
                for kind in ("kernel", "expansion"):
                    at = self.position.get(f"stage{s}.block{b}.{kind}")
                    if at is not None:
                        out[:, at] = depth > b
        return out

    def plan(self, arch: Architecture) -> NetworkPlan:
        """Every shape of the network that `arch` builds.

        Raises:
            UsageError: `arch` is not of this space.
        """
        known = self._plans.get(arch)
        if known is None:
            if len(self._plans) >= KEPT_PLANS:
                self._plans.clear()
            known = self._plans[arch] = self._planned(arch)
        return known

    @cached_property
    def _plans(self) -> dict[Architecture, NetworkPlan]:
        """The latest plans: every pass through a supernet asks for one."""
        return {}

    def _planned(self, arch: Architecture) -> NetworkPlan:
        self.require(arch)
        chosen = {"resolution": self.config.resolutions[0]} | {k: int(v) for k, v in arch.genes.items()}
        size = -(-chosen["resolution"] // self.config.stem_stride)
        channels, blocks = self.config.stem_channels, list[BlockPlan]()
        for s, spec in enumerate(self.config.stages):
            width = chosen.get(f"stage{s}.width", spec.widths[0])
            for b in range(chosen.get(f"stage{s}.depth", spec.depths[0])):
                kernel = chosen.get(f"stage{s}.block{b}.kernel", spec.kernels[0])
                expansion = chosen.get(f"stage{s}.block{b}.expansion", spec.expansions[0])
                blocks.append(self.block(s, b, channels, width, kernel, expansion, size))
                channels, size = width, blocks[-1].out_size
        return self.network(chosen["resolution"], tuple(blocks))

    def network(self, resolution: int, blocks: tuple[BlockPlan, ...]) -> NetworkPlan:
        """The plan of this space's stem and head around `blocks`."""
        c = self.config
        return NetworkPlan(
            self.input_size, self.in_channels, resolution, c.stem_channels, c.stem_stride, c.stem_activation,
            blocks, c.head_channels, c.mix_channels, self.num_classes,
        )  # fmt: skip

    def block(self, s: int, b: int, channels: int, width: int, kernel: int, expansion: int, size: int) -> BlockPlan:
        """The plan of block `b` of stage `s` with `channels` coming in at `size` pixels."""
        spec = self.config.stages[s]
        squeezed = make_divisible(channels * expansion // 4) if spec.squeeze else 0
        stride = spec.stride if b == 0 else 1
        return BlockPlan(
            s, b, channels, expansion, width, kernel, stride, spec.activation, squeezed, self.shortcut(s, b), size
        )

    def shortcut(self, s: int, b: int) -> Shortcut:
        """The shortcut of a block; it depends on the space, never on the architecture."""
        spec = self.config.stages[s]
        before = self.config.stages[s - 1].widths if s else (self.config.stem_channels,)
        if b > 0 or (spec.stride == 1 and before == spec.widths and len(before) == 1):
            return "identity"
        return "projection" if self.config.transition_shortcuts else "none"

    @cached_property
    def _tables(self) -> CostTables:
        return CostTables(self)

    def costs_of(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """Sums of per-block table entries, looked up for the whole population at once."""
        return self._tables.costs(indices)

    def trellises(self) -> Sequence[Trellis]:
        """One trellis per resolution; a state is (width so far, whether the stage has ended)."""
        return [self._trellis(r) for r in range(len(self.config.resolutions))]

    def _setting(self, name: str, choice: int) -> tuple[tuple[int, int], ...]:
        return ((self.position[name], choice),) if name in self.position else ()

    def _trellis(self, r: int) -> Trellis:
        c = self.config
        empty = self.network(c.resolutions[r], ())
        layers: list[tuple[Edge, ...]] = []
        widths: tuple[int, ...] = (c.stem_channels,)
        size = empty.stem_size
        for s, spec in enumerate(c.stages):
            layers.append(self._open(s, len(widths)))
            for b in range(spec.depths[-1]):
                layers.append(self._blocks(s, b, widths, size))
                size = -(-size // spec.stride) if b == 0 else size
            layers.append(self._close(s, len(widths)))
            widths = spec.widths
        ends = [self.network(c.resolutions[r], (self.block(len(c.stages) - 1, 1, 1, w, 1, 1, size),)) for w in widths]
        layers.append(tuple(Edge(w, 0, (), *end.head_cost) for w, end in enumerate(ends)))
        return Trellis(tuple(layers), self._setting("resolution", r), *empty.stem_cost)

    # Within stage s a state is (incoming width, outgoing width, open or ended), numbered below.
    def _state(self, s: int, incoming: int, outgoing: int, ended: bool) -> int:
        return (incoming * len(self.config.stages[s].widths) + outgoing) * 2 + ended

    def _open(self, s: int, incoming: int) -> tuple[Edge, ...]:
        outgoing = range(len(self.config.stages[s].widths))
        return tuple(
            Edge(i, self._state(s, i, o, False), self._setting(f"stage{s}.width", o), 0, 0)
            for i in range(incoming)
            for o in outgoing
        )

    def _close(self, s: int, incoming: int) -> tuple[Edge, ...]:
        outgoing = range(len(self.config.stages[s].widths))
        return tuple(Edge(self._state(s, i, o, True), o, (), 0, 0) for i in range(incoming) for o in outgoing)

    def _blocks(self, s: int, b: int, widths: tuple[int, ...], size: int) -> tuple[Edge, ...]:
        """Edges that add block `b`, ending the stage after it where that is a depth, or pass an ended stage."""
        spec, edges = self.config.stages[s], list[Edge]()
        for i, incoming in enumerate(widths):
            for o, width in enumerate(spec.widths):
                opened, ended = self._state(s, i, o, False), self._state(s, i, o, True)
                if b >= spec.depths[0]:
                    edges.append(Edge(ended, ended, (), 0, 0))
                for k, kernel in enumerate(spec.kernels):
                    for e, expansion in enumerate(spec.expansions):
                        block = self.block(s, b, incoming if b == 0 else width, width, kernel, expansion, size)
                        genes = self._setting(f"stage{s}.block{b}.kernel", k)
                        genes += self._setting(f"stage{s}.block{b}.expansion", e)
                        if b + 1 < spec.depths[-1]:
                            edges.append(Edge(opened, opened, genes, block.params, block.macs))
                        if b + 1 in spec.depths:
                            stop = self._setting(f"stage{s}.depth", spec.depths.index(b + 1))
                            edges.append(Edge(opened, ended, genes + stop, block.params, block.macs))
        return tuple(edges)

    def to_json(self) -> dict[str, Any]:
        """Name, version, task and the whole configuration."""
        return {
            "name": self.name,
            "version": self.version,
            "preset": self.preset,
            "input_size": self.input_size,
            "in_channels": self.in_channels,
            "num_classes": self.num_classes,
            "config": _plain(asdict(self.config)),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> MobileNetSpace:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        if document.get("version") != cls.version:
            raise UsageError(f"space 'mobilenet' has version {cls.version}, the file has {document.get('version')!r}")
        try:
            config = dict(document["config"])
            stages = tuple(StageSpec(**{k: _tuples(v) for k, v in s.items()}) for s in config.pop("stages"))
            built = MobileNetConfig(stages=stages, **{k: _tuples(v) for k, v in config.items()})
            task = {k: int(document[k]) for k in ("input_size", "in_channels", "num_classes")}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not the description of a mobilenet space: {error}") from None
        return cls(built, **task, preset=str(document.get("preset", "custom")))


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _check(config: MobileNetConfig, input_size: int) -> None:
    if not config.stages:
        raise UsageError("a mobilenet space needs at least one stage")
    _ascending("resolutions", config.resolutions)
    if config.resolutions[-1] > input_size:
        raise UsageError(f"resolutions {list(config.resolutions)} must lie in 1..{input_size}, the input size")
    numbers = {name: getattr(config, name) for name in ("stem_channels", "stem_stride", "head_channels")}
    words = {
        "stem_activation": (config.stem_activation, get_args(Activation)),
        "kernel_transform": (config.kernel_transform, ("learned", "crop")),
    }
    for s, spec in enumerate(config.stages):
        for what in ("widths", "depths", "kernels", "expansions"):
            _ascending(f"stage {s} {what}", getattr(spec, what))
        if any(k % 2 == 0 for k in spec.kernels):
            raise UsageError(f"stage {s} kernels {list(spec.kernels)} must be odd")
        if spec.expansions[0] == 1 and len(spec.expansions) > 1:
            raise UsageError(
                f"stage {s} expansions {list(spec.expansions)}: 1 builds no expand convolution, so it shares no "
                "weights with the others; give it alone, or leave it out"
            )
        if config.transition_shortcuts and isinstance(spec.stride, int) and spec.stride > 2:
            raise UsageError(f"stage {s} stride {spec.stride}: transition shortcuts halve a map; use 1 or 2")
        numbers[f"stage {s} stride"] = spec.stride
        words[f"stage {s} activation"] = (spec.activation, get_args(Activation))
    for what, number in numbers.items():
        _at_least(what, number, 1)
    _at_least("mix_channels", config.mix_channels, 0)
    for what, (word, known) in words.items():
        if word not in known:
            raise UnknownName(what, str(word), known)


def _at_least(what: str, number: object, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise UsageError(f"{what} must be an integer of at least {least}, got {number!r}")


def _ascending(what: str, choices: object) -> None:
    if not isinstance(choices, tuple):
        raise UsageError(f"{what} must be a list of integers, got {choices!r}")
    for choice in choices:
        _at_least(what, choice, 1)
    if not choices or list(choices) != sorted(set(choices)):
        raise UsageError(f"{what} must be ascending positive integers, got {list(choices)}")
