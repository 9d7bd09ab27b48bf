"""What a MobileNet space is made of, which configurations build networks, and of which blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from nas.errors import UnknownName, UsageError
from nas.search_spaces.mobilenet.plan import Activation, BlockPlan, Shortcut, make_divisible


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


def block_plan(
    config: MobileNetConfig, s: int, b: int, channels: int, width: int, kernel: int, expansion: int, size: int
) -> BlockPlan:
    """The plan of block `b` of stage `s` with `channels` coming in at `size` pixels."""
    spec = config.stages[s]
    squeezed = make_divisible(channels * expansion // 4) if spec.squeeze else 0
    stride = spec.stride if b == 0 else 1
    return BlockPlan(
        s, b, channels, expansion, width, kernel, stride, spec.activation, squeezed, shortcut(config, s, b), size
    )


def shortcut(config: MobileNetConfig, s: int, b: int) -> Shortcut:
    """The shortcut of a block; it depends on the space, never on the architecture."""
    spec = config.stages[s]
    before = config.stages[s - 1].widths if s else (config.stem_channels,)
    if b > 0 or (spec.stride == 1 and before == spec.widths and len(before) == 1):
        return "identity"
    return "projection" if config.transition_shortcuts else "none"


def map_size(config: MobileNetConfig, resolution: int, s: int, b: int) -> int:
    """Height and width of the maps that enter block `b` of stage `s`."""
    size = -(-resolution // config.stem_stride)
    for spec in config.stages[: s + (b > 0)]:
        size = -(-size // spec.stride)
    return size


def check(config: MobileNetConfig, input_size: int) -> None:
    """Refuse a configuration that builds no network for images of this size.

    Raises:
        UsageError: Says which part and why.
        UnknownName: A word that is none of the known ones.
    """
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
