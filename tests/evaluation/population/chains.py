"""A small supernet whose steps hand on tuples, and the reference for one member at a time."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nas.relaxation import Mixture
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import Statistics, Supernet, calibrate
from nas.supernets.layers import ElasticBatchNorm
from nas.supernets.steps import Context, State, Step
from tests.spaces import SPACES

FEATURES = 6
SPACE = SPACES["learned"]


class ChainSupernet(Supernet):
    """One step a gene, each with a matrix a choice and a batch norm. Between steps travel two states [B, F].

    Args:
        space: Its genes and choices.
        inputs: Scalars of one example.
        classes: Scalars of one output.
        tokens: How many different tokens inputs [B, T] have; 0 where inputs are numbers of any shape.
        norms: Whether there are batch norms.
        seed: Of the weights.
    """

    def __init__(
        self,
        space: SearchSpace = SPACE,
        *,
        inputs: int = 3 * 8 * 8,
        classes: int = 5,
        tokens: int = 0,
        norms: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.space = space
        self.batches: list[int] = []  # examples of each run of the first step

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator))

        self.embedding = weight(tokens, FEATURES) if tokens else None
        self.stem = weight(FEATURES if tokens else inputs, FEATURES)
        self.weights = nn.ParameterDict(
            {f"{at}:{choice}": weight(FEATURES, FEATURES) for at, g in enumerate(space.genes) for choice in g.choices}
        )
        self.norms = nn.ModuleList(ElasticBatchNorm(FEATURES, gene.name) for gene in space.genes if norms)
        self.classifier = weight(FEATURES, classes)

    def steps(self, arch: Architecture) -> list[Step]:
        """Stem, one step a gene that exists, classifier."""
        steps = [Step("stem", self._stem, self.stem.numel(), FEATURES)]
        for at, value in enumerate(arch.values):
            if value is not None:
                steps.append(Step((at, value), partial(self._gene, at, f"{at}:{value}"), FEATURES**2, FEATURES))
        return [*steps, Step("head", self._head, self.classifier.numel(), self.classifier.shape[1])]

    def mixed(self, x: Tensor, mixture: Mixture, context: Context) -> Tensor:
        """Not needed here."""
        raise NotImplementedError

    def extract(self, arch: Architecture, statistics: Statistics | None = None) -> nn.Module:
        """Not needed here."""
        raise NotImplementedError

    def _stem(self, x: State, _: Context) -> State:
        assert isinstance(x, Tensor)
        self.batches.append(len(x))
        x = x.flatten(1) if self.embedding is None else self.embedding[x].mean(1)
        x = x @ self.stem
        return x, x

    def _gene(self, at: int, weight: str, state: State, context: Context) -> State:
        skip, x = state
        y = x @ self.weights[weight]
        if self.norms:
            norm = self.norms[at]
            assert isinstance(norm, ElasticBatchNorm)
            y = context.normalise(norm, y[:, :, None, None])[:, :, 0, 0]
        return x, torch.tanh(y) + skip

    def _head(self, state: State, _: Context) -> State:
        return state[1] @ self.classifier


def members(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    """Different random architectures."""
    rows = space.sample_choices(np.random.default_rng(seed), 2 * count)
    return list(dict.fromkeys(space.architectures(rows)))[:count]


@torch.no_grad()
def outputs_alone(supernet: Supernet, arch: Architecture, calibration: Tensor, x: Tensor) -> Tensor:
    """What `arch` alone answers to `x`, normalised by statistics of one batch of calibration inputs."""
    statistics = calibrate(supernet, [arch], calibration, batch_size=len(calibration))[0]
    logits: Tensor = supernet.eval()(x, arch, statistics=statistics)
    return logits
