"""Plain networks without elastic code, one file a family: what extraction fills and exports rebuild."""

from __future__ import annotations

import torch
from torch import nn

from nas.search_spaces import Architecture, SearchSpace, family, resolve

__all__ = ["build", "network"]


def build(space: SearchSpace, arch: Architecture) -> nn.Module:
    """The plain network of one architecture on the CPU, for weights to be loaded into: those that it has mean nothing.

    Torch's own generator is left as it was.

    Args:
        space: The space.
        arch: A member of it.

    Raises:
        UnknownName: The space is of no known kind.
        UsageError: `arch` is of another space.
    """
    with torch.random.fork_rng(devices=[]):
        built: nn.Module = resolve(family(space.name).network)(space, arch)
    return built


def network(space: SearchSpace, arch: Architecture, *, seed: int) -> nn.Module:
    """A plain network of one architecture on the CPU, in training mode, with the weights that training starts from.

    Batch norms have ordinary running statistics, still those of no data. Torch's own generator is left as it was.

    Args:
        space: The space.
        arch: A member of it.
        seed: Seed of the weights.

    Raises:
        UnknownName: The space is of no known kind.
        UsageError: `arch` is of another space.
    """
    known = family(space.name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed CUDA, which is not restored
        built: nn.Module = resolve(known.fresh or known.network)(space, arch)
        return built.train()
