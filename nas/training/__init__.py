"""The loop around a training, and what training rules are made of."""

from nas.training.batches import Batches
from nas.training.loop import CHECKPOINT, Loop, NotFinite, Progress, StepResult, Trainable
from nas.training.network_step import NetworkStep
from nas.training.parallel import ALONE, Alone, Group, TorchGroup
from nas.training.rule import Phase, SmoothedTargets, SubNetwork, TrainingRule
from nas.training.rule_step import Forward, PassOptions, RuleStep
from nas.training.settings import Settings

__all__ = [
    "ALONE",
    "CHECKPOINT",
    "Alone",
    "Batches",
    "Forward",
    "Group",
    "Loop",
    "NetworkStep",
    "NotFinite",
    "PassOptions",
    "Phase",
    "Progress",
    "RuleStep",
    "Settings",
    "SmoothedTargets",
    "StepResult",
    "SubNetwork",
    "TorchGroup",
    "Trainable",
    "TrainingRule",
]
