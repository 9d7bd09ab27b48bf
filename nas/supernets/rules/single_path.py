"""Single path, uniform (Guo et al. 2020): one random network a step, learning from the data's targets."""

from __future__ import annotations

from nas.search_spaces import SearchSpace
from nas.supernets.rules.samplers import LargestNetwork, RandomNetworks
from nas.training import Phase, SmoothedTargets, TrainingRule
from nas.training.schedules import cosine, warmed_up


def phases(space: SearchSpace) -> list[Phase]:
    """One phase over everything."""
    return [Phase("single path", 1.0, 1.0, warmed_up(cosine, 0.03), RandomNetworks(1), SmoothedTargets())]


def largest_phases(space: SearchSpace) -> list[Phase]:
    """One phase over the largest network."""
    return [Phase("largest", 1.0, 1.0, warmed_up(cosine, 0.03), LargestNetwork(), SmoothedTargets())]


RULE = TrainingRule("single_path", phases, learning_rate=0.3, weight_decay=3e-5)

# The control: train the largest network only, then slice it.
LARGEST_ONLY = TrainingRule("largest_only", largest_phases, learning_rate=0.3, weight_decay=3e-5)
