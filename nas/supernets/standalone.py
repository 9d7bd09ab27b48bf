"""Networks that share no weights: one architecture with fresh weights of its own."""

from __future__ import annotations

import torch
from torch import nn

from nas.search_spaces import Architecture, SearchSpace, family, resolve


def network(space: SearchSpace, arch: Architecture, *, seed: int) -> nn.Module:
    """A plain network of one architecture on the CPU, in training mode, with fresh weights.

    Batch norms have ordinary running statistics, still those of no data. Torch's own generator is left as it was.

    Args:
        space: The space.
        arch: A member of it.
        seed: Seed of the weights.

    Raises:
        UsageError: `arch` is of another space, or no network is known for this kind of space.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed CUDA, which is not restored
        built: nn.Module = resolve(family(space.name).network)(space, arch)
        return built.train()
