"""Networks that share no weights: one architecture with fresh weights of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nas.errors import UsageError
from nas.networks.flexibert import FlexiBert
from nas.networks.nasbench201 import NasBench201
from nas.search_spaces import Architecture, FlexiBertSpace, MobileNetSpace, NasBench201Space, SearchSpace
from nas.supernets.mobilenet.supernet import MobileNetSupernet


def _mobilenet(space: MobileNetSpace, arch: Architecture, seed: int) -> nn.Module:
    """The slice of a fresh supernet, whose initial weights are what training in this project starts from."""
    return MobileNetSupernet(space, seed=seed).extract(arch)


NETWORKS: dict[type[SearchSpace], Callable[[Any, Architecture, int], nn.Module]] = {
    MobileNetSpace: _mobilenet,
    NasBench201Space: lambda space, arch, _: NasBench201(space, arch),
    FlexiBertSpace: lambda space, arch, _: FlexiBert(space, arch),
}


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
    if type(space) not in NETWORKS:
        raise UsageError(f"no network is known for spaces of kind {space.name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed CUDA, which is not restored
        return NETWORKS[type(space)](space, arch, seed).train()
