"""The contract of a supernet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

from torch import Tensor, nn

from nas.errors import UsageError
from nas.relaxation import Mixture
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets.groups import ChannelGroup
from nas.supernets.statistics import Statistics
from nas.supernets.steps import Context, NormLayer, Regularisation, Step, by_batch, by_statistics, composed


class Supernet(nn.Module, ABC):
    """Shared weights of every architecture of a space; an architecture is an argument, never a state.

    A supernet states its steps, its mixture and how to extract. Where it has channels that can be sorted, residual
    branches or parameters that should not decay, it declares them: training rules know no family.
    """

    space: SearchSpace

    # What a supernet states.

    @abstractmethod
    def steps(self, arch: Architecture) -> list[Step]:
        """The chain whose composition is `forward`; resizing to the architecture's resolution comes first.

        Raises:
            UsageError: `arch` is of another space.
        """

    @abstractmethod
    def mixed(self, x: Tensor, mixture: Mixture, context: Context) -> Tensor:
        """Logits [B, K] under a mixture; a one-hot one gives its architecture's."""

    @abstractmethod
    def extract(self, arch: Architecture, statistics: Statistics | None = None) -> nn.Module:
        """A plain network with its own copy of the weights that `arch` uses and no elastic code.

        Args:
            arch: The architecture.
            statistics: Its batch-norm statistics; without them the network's own are untrained.
        """

    # What it may declare.

    @property
    def groups(self) -> tuple[ChannelGroup, ...]:
        """Channels that several parameters share, in the order in which sorting goes through them."""
        return ()

    @property
    def residual_scales(self) -> tuple[str, ...]:
        """Parameters that scale a residual branch: where they are 0, the block around it is the identity."""
        return ()

    @property
    def no_weight_decay(self) -> tuple[str, ...]:
        """Matrices that weight decay would pull away from where they belong; vectors never decay."""
        return ()

    # What follows.

    @final
    def describe(self) -> dict[str, Any]:
        """The family and the space, as JSON: all that `nas.supernets.rebuild` needs besides the weights."""
        return {"kind": self.space.name, "space": self.space.to_json()}

    @final
    @property
    def has_batch_norms(self) -> bool:
        """Whether architectures need statistics in eval mode; without batch norms calibrating them costs nothing."""
        return any(isinstance(module, NormLayer) for module in self.modules())

    def forward(
        self,
        x: Tensor,
        arch: Architecture | Mixture,
        *,
        statistics: Statistics | None = None,
        regularisation: Regularisation | None = None,
    ) -> Tensor:
        """Logits of one architecture.

        Args:
            x: Normalised images [B, C, H, W], of the space's input size.
            arch: A member of the space, or a mixture of its members (training mode only).
            statistics: Batch-norm statistics of `arch`; needed in eval mode where there are batch norms, unused in
                training mode.
            regularisation: Dropout and drop-connect for this pass; training mode only.

        Returns:
            Logits [B, K].

        Raises:
            UsageError: `arch` is of another space; in eval mode, statistics are missing or regularisation is given.
        """
        if isinstance(arch, Mixture):
            if arch.space.digest != self.space.digest:
                raise UsageError("the mixture is of another space than this supernet")
            if not self.training:
                raise UsageError("a mixture has no stored statistics; put the supernet in training mode")
            return self.mixed(x, arch, Context(by_batch, regularisation))
        if self.training:
            context = Context(by_batch, regularisation)
        elif regularisation is not None:
            raise UsageError("regularisation is for training; put the supernet in training mode, or leave it out")
        elif statistics is None and self.has_batch_norms:
            raise UsageError("in eval mode a supernet needs statistics=...; get them from nas.supernets.calibrate")
        else:
            context = Context(by_statistics(Statistics({}, 0) if statistics is None else statistics))
        return composed(self.steps(arch), x, context)
