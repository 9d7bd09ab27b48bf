"""Relaxed architectures: differentiable weights over the choices of every gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.search_spaces import Architecture, SearchSpace


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A point between architectures; a one-hot mixture is the architecture at that corner.

    Args:
        space: The space whose choices are weighed.
        weights: By gene name, [choices]; any numbers, usually non-negative with the sum 1, and differentiable.

    Raises:
        UsageError: A gene is missing, unknown, or has another number of weights than choices.
    """

    space: SearchSpace
    weights: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if set(self.weights) != set(self.space.names):
            odd = sorted(set(self.weights) ^ set(self.space.names))[0]
            raise UsageError(f"a mixture weighs every gene of its space once; {odd!r} is missing or unknown")
        for gene in self.space.genes:
            if tuple(self.weights[gene.name].shape) != (len(gene.choices),):
                found = list(self.weights[gene.name].shape)
                raise UsageError(f"gene {gene.name!r} has {len(gene.choices)} choices, its weights are {found}")

    @classmethod
    def one_hot(cls, space: SearchSpace, arch: Architecture) -> Mixture:
        """The corner that `arch` names; genes that do not exist in it put all weight on their first choice."""
        positions = space.indices([arch])[0].clip(min=0).tolist()
        return cls(space, {g.name: torch.eye(len(g.choices))[i] for g, i in zip(space.genes, positions, strict=True)})

    def of(self, gene: str, like: Tensor) -> Tensor:
        """Weights [choices] of a gene on the device of `like`; one weight of 1 where there is only one choice."""
        if gene in self.weights:
            return self.weights[gene].to(like.device, like.dtype)
        return torch.ones(1, device=like.device, dtype=like.dtype)
