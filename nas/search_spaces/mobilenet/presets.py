"""Ready-made MobileNet spaces, and how they adapt to the size of the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from nas.errors import UnknownName, UsageError
from nas.search_spaces.mobilenet.config import MobileNetConfig, StageSpec
from nas.search_spaces.mobilenet.plan import Activation
from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.search_spaces.reading import require_kind
from nas.task import ImageClassification, Task

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
SMALLEST_MAP = 4  # pixels that the last stage keeps at least; strides that would go below are dropped


@dataclass(frozen=True, slots=True)
class Preset:
    """A configuration at its own image size.

    Args:
        summary: One line for people.
        task: Images of the size that `config` is made for.
        config: The configuration there.
    """

    summary: str
    task: ImageClassification
    config: MobileNetConfig


def _stage(
    widths: tuple[int, ...], depths: tuple[int, ...], stride: int, activation: Activation, *, squeeze: bool
) -> StageSpec:
    return StageSpec(widths, depths, KERNELS, EXPANSIONS, stride, activation, squeeze)


def _fixed_block(width: int, stride: int) -> StageSpec:
    return StageSpec((width,), (1,), (3,), (1,), stride, "relu", False)


_TINY = MobileNetConfig(
    resolutions=(6, 8), stem_channels=16, stem_stride=1, stem_activation="hswish",
    stages=(
        _stage((16, 24), (1, 2), 1, "relu", squeeze=False),
        _stage((24, 32), (1, 2, 3), 2, "hswish", squeeze=True),
    ),
    head_channels=96, mix_channels=0, kernel_transform="learned", transition_shortcuts=False,
)  # fmt: skip

_SMALL = MobileNetConfig(
    resolutions=(24, 28, 32), stem_channels=12, stem_stride=2, stem_activation="hswish",
    stages=(
        _stage((8, 12), (1, 2), 1, "relu", squeeze=False),
        _stage((20, 28), (1, 2, 3), 2, "relu", squeeze=True),
        _stage((32, 48), (1, 2, 3), 2, "hswish", squeeze=True),
    ),
    head_channels=160, mix_channels=0, kernel_transform="learned", transition_shortcuts=False,
)  # fmt: skip

# Stages, widths, activations and squeeze-excitation of MobileNetV3-Large at width 1.0, as Once-for-All has them.
_OFA_STAGES: tuple[tuple[int, int, Activation, bool], ...] = (
    (24, 2, "relu", False),
    (40, 2, "relu", True),
    (80, 2, "hswish", False),
    (112, 1, "hswish", True),
    (160, 2, "hswish", True),
)
_OFA = MobileNetConfig(
    resolutions=(128, 160, 192, 224), stem_channels=16, stem_stride=2, stem_activation="hswish",
    stages=(
        _fixed_block(16, 1),
        *(_stage((w,), (2, 3, 4), stride, act, squeeze=se) for w, stride, act, se in _OFA_STAGES),
    ),
    head_channels=960, mix_channels=1280, kernel_transform="learned", transition_shortcuts=False,
)  # fmt: skip

_BIGNAS = replace(
    _OFA,
    stages=(
        _fixed_block(16, 1),
        *(_stage((w, w * 5 // 4), (2, 3, 4), s, a, squeeze=se) for w, s, a, se in _OFA_STAGES),
    ),
    kernel_transform="crop",
    transition_shortcuts=True,
)

_LARGE = ImageClassification(224, 3, 10)
PRESETS: dict[str, Preset] = {
    "tiny": Preset("two stages, for 8x8 digits", ImageClassification(8, 3, 10), _TINY),
    "small": Preset("three stages, for 28x28 and 32x32 images", ImageClassification(32, 3, 10), _SMALL),
    "ofa": Preset(
        "Once-for-All's MobileNetV3: five stages, learned kernel transforms", ImageClassification(224, 3, 10), _OFA
    ),
    "bignas": Preset(
        "elastic widths, centre-cropped kernels, a shortcut in every block", ImageClassification(224, 3, 10), _BIGNAS
    ),
}


def build(task: Task | None, preset: str | None) -> MobileNetSpace:
    """A MobileNet space for images; without a preset the one made for the nearest size.

    Raises:
        UnknownName: No such preset.
        UsageError: No task, one of another kind, or images smaller than 4x4.
    """
    images = require_kind("mobilenet", task, ImageClassification)
    if preset is None:
        preset = "tiny" if images.size < 20 else "small" if images.size < 96 else "ofa"
    if preset not in PRESETS:
        raise UnknownName("preset of space 'mobilenet'", preset, PRESETS)
    if images.size < SMALLEST_MAP:
        raise UsageError(f"images must be at least {SMALLEST_MAP}x{SMALLEST_MAP}, got {images.size}x{images.size}")
    return MobileNetSpace(adapt(PRESETS[preset], images.size), task=images, preset=preset)


def adapt(preset: Preset, input_size: int) -> MobileNetConfig:
    """The preset for another image size.

    Resolutions keep their ratio to the image size (even numbers, multiples of 4 from 96 on);
    the earliest strides are dropped until the last stage keeps at least 4x4 pixels.
    """
    config = preset.config
    grain = 4 if input_size >= 96 else 2
    scaled = [max(SMALLEST_MAP, round(Fraction(r * input_size, preset.task.size) / grain) * grain)
              for r in config.resolutions[:-1]]  # fmt: skip
    resolutions = tuple(sorted({*(r for r in scaled if r < input_size), input_size}))
    strides = [config.stem_stride, *(spec.stride for spec in config.stages)]
    for i, stride in enumerate(strides):
        if -(-input_size // _product(strides)) >= SMALLEST_MAP:
            break
        strides[i] = min(stride, 1)
    stages = tuple(replace(spec, stride=s) for spec, s in zip(config.stages, strides[1:], strict=True))
    return replace(config, resolutions=resolutions, stem_stride=strides[0], stages=stages)


def _product(strides: list[int]) -> int:
    out = 1
    for stride in strides:
        out *= stride
    return out
