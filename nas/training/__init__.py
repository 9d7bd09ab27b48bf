"""The training loop, and what training rules are made of."""

from nas.training.rule import Phase, Slot, SmoothedLabels, TrainingRule
from nas.training.trainer import CHECKPOINT, Noise, Progress, Settings, Trainer

__all__ = [
    "CHECKPOINT",
    "Noise",
    "Phase",
    "Progress",
    "Settings",
    "Slot",
    "SmoothedLabels",
    "Trainer",
    "TrainingRule",
]
