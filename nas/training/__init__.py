"""The training loop, and what training rules are made of."""

from nas.training.parallel import ALONE, Alone, Group, TorchGroup
from nas.training.rule import Phase, Slot, SmoothedLabels, TrainingRule
from nas.training.trainer import CHECKPOINT, Noise, Progress, Settings, Trainer

__all__ = [
    "ALONE",
    "CHECKPOINT",
    "Alone",
    "Group",
    "Noise",
    "Phase",
    "Progress",
    "Settings",
    "Slot",
    "SmoothedLabels",
    "TorchGroup",
    "Trainer",
    "TrainingRule",
]
