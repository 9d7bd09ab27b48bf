"""What stands between what people have and what networks take, and what their outputs are called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas.task import Task


class Preprocessing(ABC):
    """A value that travels with every checkpoint and export, so that a network can be used without its data."""

    kind: ClassVar[str]  # the name of the inputs in exports, such as "images"
    inputs: ClassVar[str]  # what exported networks take, for people
    outputs: ClassVar[str]  # what they give
    class_names: tuple[str, ...]  # of the outputs

    @property
    @abstractmethod
    def task(self) -> Task:
        """What it is for."""

    @abstractmethod
    def deployed(self, network: nn.Module) -> nn.Module:
        """A module that takes inputs as people have them and runs `network` on them; shares its weights."""

    @abstractmethod
    def check(self, inputs: Tensor) -> None:
        """Refuse inputs of another kind or shape.

        Raises:
            UsageError: Says what they must be.
        """

    @abstractmethod
    def example(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Made-up inputs as people have them."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values, with `kind`; `nas.data.preprocessing_from_json` reads them back."""
