"""A network small enough to compute by hand: z = W2 relu(W1 x), in double precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TwoLayers:
    """Weights, inputs [N, 5] and classes [N], and what follows from them without torch."""

    w1: Array
    w2: Array
    x: Array
    y: NDArray[np.int64]

    @classmethod
    def random(cls, seed: int = 0, samples: int = 8) -> TwoLayers:
        """A draw in which every sample switches something on."""
        rng = np.random.default_rng(seed)
        while True:
            w1, w2, x = (rng.normal(size=shape) for shape in ((4, 5), (3, 4), (samples, 5)))
            drawn = cls(w1, w2, x, np.arange(samples) % 3)
            if drawn.code.any(axis=1).all():
                return drawn

    def module(self) -> nn.Module:
        net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False)).double()
        with torch.no_grad():
            for layer, weight in zip((net[0], net[2]), (self.w1, self.w2), strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
        return net

    def batch(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.x), torch.from_numpy(self.y)

    @property
    def inner(self) -> Array:
        """[N, 4], before the nonlinearity."""
        return self.x @ self.w1.T

    @property
    def code(self) -> Array:
        return (self.inner > 0).astype(np.float64)

    @property
    def logits(self) -> Array:
        return np.maximum(self.inner, 0) @ self.w2.T

    def errors(self) -> Array:
        """[N, 3]: the gradient of each sample's own loss to its logits."""
        e = np.exp(self.logits - self.logits.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True) - np.eye(3)[self.y]

    def sample_gradients(self, to_logits: Array) -> tuple[Array, Array]:
        """[N, 4, 5] and [N, 3, 4], for these gradients to the logits."""
        back = to_logits @ self.w2 * self.code
        return np.einsum("nm,nk->nmk", back, self.x), np.einsum("nm,nk->nmk", to_logits, np.maximum(self.inner, 0))

    def gradients(self) -> tuple[Array, Array]:
        """Of the mean loss."""
        a, b = self.sample_gradients(self.errors())
        return a.mean(0), b.mean(0)

    def jacobian(self) -> Array:
        """[N, 5]: of the summed logits to the inputs."""
        return (np.ones((len(self.x), 3)) @ self.w2 * self.code) @ self.w1
