"""A sub-network as it leaves the platform: its preprocessing inside, class names beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from nas.data import Preprocessing
from nas.search_spaces import Architecture, SearchSpace


class Deployed(nn.Module):
    """A plain network that takes inputs as people have them.

    Args:
        network: As it was trained, in eval mode.
        arch: Its architecture.
        space: The space of that architecture.
        preprocessing: From inputs as people have them to those of the network, and class names.
        metrics: Figures that travel with it, such as its measured accuracy.

    Raises:
        UsageError: The preprocessing is of another task than the space.
    """

    def __init__(
        self,
        network: nn.Module,
        arch: Architecture,
        space: SearchSpace,
        preprocessing: Preprocessing,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        space.task.require(preprocessing.task, what="its data")
        self.network = network
        self.arch = arch
        self.space = space
        self.preprocessing = preprocessing
        self.metrics = dict(metrics or {})
        self.whole = preprocessing.deployed(network)
        self.eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the logits."""
        return self.preprocessing.class_names

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs as people have them, see `preprocessing.inputs`, to the network's outputs.

        Raises:
            UsageError: They are of another kind or shape.
        """
        self.preprocessing.check(inputs)
        outputs: Tensor = self.whole(inputs)
        return outputs

    def describe(self) -> dict[str, Any]:
        """What travels beside the weights: space, architecture, preprocessing and metrics, as JSON."""
        return {
            "space": self.space.to_json(),
            "architecture": self.arch.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "metrics": self.metrics,
            "input": self.preprocessing.inputs,
            "output": self.preprocessing.outputs,
        }
