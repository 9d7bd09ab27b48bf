"""Small spaces that tests share."""

from __future__ import annotations

from dataclasses import replace

from nas.search_spaces.mobilenet.config import MobileNetConfig, StageSpec
from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.task import ImageClassification

BASE = MobileNetConfig(
    resolutions=(6, 8),
    stem_channels=8,
    stem_stride=1,
    stem_activation="hswish",
    stages=(
        StageSpec((8, 12), (1, 2), (3, 5), (2, 3), 1, "relu", squeeze=False),
        StageSpec((12, 16), (1, 2, 3), (3, 5, 7), (3, 4), 2, "hswish", squeeze=True),
    ),
    head_channels=24,
    mix_channels=0,
    kernel_transform="learned",
    transition_shortcuts=False,
)


def space(config: MobileNetConfig = BASE) -> MobileNetSpace:
    return MobileNetSpace(config, task=ImageClassification(8, 3, 5))


# One of each kind: learned transforms; BigNAS's crops and shortcuts; a fixed first block and a mix layer.
SPACES = {
    "learned": space(),
    "crop": space(
        replace(
            BASE,
            kernel_transform="crop",
            transition_shortcuts=True,
        )
    ),
    "fixed": space(
        replace(
            BASE,
            stages=(StageSpec((8,), (1,), (3,), (1,), 1, "relu", squeeze=True), *BASE.stages[1:]),
            mix_channels=20,
        )
    ),
}
