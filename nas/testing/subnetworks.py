"""Members, inputs and weights that a supernet is checked with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.search_spaces import Architecture
from nas.supernets import Supernet

EXAMPLES = 24


def inputs_of(supernet: Supernet) -> Tensor:
    """The same made-up inputs every time."""
    return supernet.space.task.example(EXAMPLES, generator=torch.Generator().manual_seed(1))


def member(supernet: Supernet, seed: int) -> Architecture:
    """A random member."""
    space = supernet.space
    return space.architectures(space.sample_choices(np.random.default_rng(seed), 1))[0]


def randomise(supernet: Supernet, seed: int = 7) -> None:
    """Give every parameter a value that a wrong slice would show; what does not decay stays as it is."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in supernet.named_parameters():
        if name in supernet.no_weight_decay:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 0.9 * parameter.data + (0.3 if parameter.ndim < 2 else 0.1) * noise
