"""The text encoders of FlexiBERT (Tuli et al. 2022), in the space that Serianni and Kalita (2023) tabulated.

Every layer chooses how its tokens meet, and what follows on each of them; the width is that of the whole network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.search_spaces.space import Gene, Indices, SearchSpace
from nas.search_spaces.trellis import Edge, Trellis

OPERATIONS = ("dct", "dft", "sdp", "conv5", "conv9", "wma")  # fewest parameters first
KERNELS = {"conv5": 5, "conv9": 9}
_HIDDEN, _DEPTH, _FIRST, _PER_LAYER = 0, 1, 2, 4  # positions of genes


@dataclass(frozen=True, slots=True)
class FlexiBertConfig:
    """The choices, at least two of each, ascending.

    Args:
        hiddens: Features of a token, the same in all layers.
        depths: Numbers of layers.
        heads: Of an operation; each divides every hidden size.
        widths: Units of a feed-forward network.
        stacks: Feed-forward networks behind each other in a layer.
    """

    hiddens: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    widths: tuple[int, ...]
    stacks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready-made configuration, and the task to show it with.

    Args:
        summary: One line for people.
        input_size: Tokens of a sequence.
        in_channels: Size of the vocabulary.
        config: The choices.
    """

    summary: str
    input_size: int
    in_channels: int
    config: FlexiBertConfig


PRESETS = {
    "full": Preset(
        "encoders of 2 or 4 layers that mix attention, Fourier and cosine transforms, dynamic convolution", 128, 30_522,
        FlexiBertConfig(hiddens=(128, 256), depths=(2, 4), heads=(2, 4), widths=(512, 1024), stacks=(1, 3)),
    ),
    "tiny": Preset(
        "the same in small, for trying things out", 16, 100,
        FlexiBertConfig(hiddens=(16, 32), depths=(1, 2), heads=(2, 4), widths=(64, 96), stacks=(1, 2)),
    ),
}  # fmt: skip


@final
class FlexiBertSpace(SearchSpace):
    """All encoders with these choices; the genes of a layer exist where the depth reaches it.

    A member is a network of its own, `nas.networks.flexibert`: there are no shared weights.

    Args:
        config: The choices.
        input_size: Most tokens of a sequence; `macs` are those of a sequence of so many.
        in_channels: Size of the vocabulary.
        num_classes: Outputs.
        preset: The preset's name, for people to read.

    Raises:
        UsageError: A count is not positive, choices are not ascending, or heads do not divide a hidden size.
    """

    inputs: Literal["images", "tokens"] = "tokens"
    name = "flexibert"
    version = 1

    def __init__(
        self, config: FlexiBertConfig, *, input_size: int, in_channels: int, num_classes: int, preset: str = "custom"
    ) -> None:
        if min(input_size, in_channels, num_classes) < 1:
            raise UsageError("a flexibert space needs positive input_size (tokens), in_channels (words), num_classes")
        _check(config)
        self.config = config
        self.input_size, self.in_channels, self.num_classes = input_size, in_channels, num_classes
        self.preset = preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Hidden size and depth, then per layer operation, heads, width and stack."""
        c = self.config
        genes = [Gene("hidden", c.hiddens), Gene("depth", c.depths)]
        for layer in range(c.depths[-1]):
            genes += [
                Gene(f"layer{layer}.operation", OPERATIONS), Gene(f"layer{layer}.heads", c.heads),
                Gene(f"layer{layer}.width", c.widths), Gene(f"layer{layer}.stack", c.stacks),
            ]  # fmt: skip
        return tuple(genes)

    def exists(self, indices: Indices) -> NDArray[np.bool_]:
        """A layer's genes exist below the depth."""
        out = np.ones(indices.shape, dtype=bool)
        depth = self._depths(indices)
        for layer in range(self.config.depths[0], self.config.depths[-1]):
            out[:, _columns(layer)] = (depth > layer)[:, None]
        return out

    def _depths(self, indices: Indices) -> NDArray[np.int64]:
        return np.array(self.config.depths, np.int64)[indices[:, _DEPTH]]

    @cached_property
    def _frame_costs(self) -> NDArray[np.int64]:
        """[hiddens, 2]: params and macs of embeddings, their norm and the classifier."""
        tables, classes = self.in_channels + self.input_size, self.num_classes
        return np.array([((tables + 2) * h + (h + 1) * classes, h * classes) for h in self.config.hiddens], np.int64)

    @cached_property
    def _layer_costs(self) -> NDArray[np.int64]:
        """[hiddens, operations, heads, widths, stacks, 2]: params and macs of a layer."""
        c, tokens = self.config, self.input_size
        counts = (len(c.hiddens), len(OPERATIONS), len(c.heads), len(c.widths), len(c.stacks))
        found = np.zeros((*counts, 2), np.int64)
        for h, o, n, w, s in np.ndindex(counts):
            mixing = operation_cost(OPERATIONS[o], c.hiddens[h], c.heads[n], tokens)
            found[h, o, n, w, s] = np.add(mixing, feed_forward_cost(c.hiddens[h], c.widths[w], c.stacks[s], tokens))
        return found

    def costs_of(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """Sums of layers, looked up for the whole population at once."""
        hidden, depth = indices[:, _HIDDEN], self._depths(indices)
        totals = self._frame_costs[hidden]
        for layer in range(self.config.depths[-1]):
            costs = self._layer_costs[(hidden, *indices[:, _columns(layer)].T)]
            totals = totals + np.where((depth > layer)[:, None], costs, 0)
        return {"params": totals[:, 0].copy(), "macs": totals[:, 1].copy()}

    def embedding_params_of(self, indices: Indices) -> NDArray[np.int64]:
        """[N]: how many of "params" lie in the tables of words and positions."""
        hidden = np.array(self.config.hiddens, np.int64)[indices[:, _HIDDEN]]
        return hidden * (self.in_channels + self.input_size)

    def trellises(self) -> Sequence[Trellis]:
        """One for each hidden size and depth, with one state and one layer of edges a layer."""
        c = self.config
        return [
            Trellis(
                tuple(self._edges(h, layer) for layer in range(depth)), ((_HIDDEN, h), (_DEPTH, d)),
                *self._frame_costs[h].tolist(),
            )
            for h in range(len(c.hiddens))
            for d, depth in enumerate(c.depths)
        ]  # fmt: skip

    def _edges(self, hidden: int, layer: int) -> tuple[Edge, ...]:
        costs = self._layer_costs[hidden]
        first = _columns(layer).start
        return tuple(
            Edge(0, 0, tuple((first + kind, choice) for kind, choice in enumerate(at)), *costs[at].tolist())
            for at in np.ndindex(costs.shape[:-1])
        )

    def to_json(self) -> dict[str, Any]:
        """See `SearchSpace`."""
        return {
            "name": self.name, "version": self.version, "preset": self.preset,
            "config": {name: list(choices) for name, choices in asdict(self.config).items()},
            "input_size": self.input_size, "in_channels": self.in_channels, "num_classes": self.num_classes,
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FlexiBertSpace:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        if document.get("version") != cls.version:
            raise UsageError(f"space {cls.name!r} has version {cls.version}, the file has {document.get('version')!r}")
        try:
            config = FlexiBertConfig(**{name: tuple(choices) for name, choices in document["config"].items()})
            task = {name: int(document[name]) for name in ("input_size", "in_channels", "num_classes")}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not the description of a {cls.name} space: {error}") from None
        return cls(config, **task, preset=str(document.get("preset", "custom")))


def operation_cost(operation: str, hidden: int, heads: int, tokens: int) -> tuple[int, int]:
    """Params and macs of a layer's operation on so many tokens, with the norm behind it."""
    square, head = hidden**2, hidden // heads
    if operation in ("dct", "dft"):
        products = 1 if operation == "dct" else 2
        params, macs = 2 * (square + hidden), 2 * square + products * hidden * (tokens + head)
    elif operation in KERNELS:
        kernel = KERNELS[operation]
        params = 4 * (square + hidden) + hidden * kernel + (hidden + 1) * heads * kernel
        macs = 4 * square + 2 * hidden * kernel + hidden * heads * kernel
    else:
        weighted = hidden * head if operation == "wma" else 0
        params, macs = 4 * (square + hidden) + weighted, 4 * square + 2 * tokens * hidden + weighted
    return params + 2 * hidden, macs * tokens


def feed_forward_cost(hidden: int, width: int, stack: int, tokens: int) -> tuple[int, int]:
    """Params and macs of stacked feed-forward networks on so many tokens, with the norm behind each."""
    weights = 2 * hidden * width
    return stack * (weights + width + 3 * hidden), stack * weights * tokens


def build(*, input_size: int, in_channels: int, num_classes: int, preset: str | None) -> FlexiBertSpace:
    """The space with a preset's choices; None takes those of the table.

    Raises:
        UnknownName: No such preset.
        UsageError: See `FlexiBertSpace`.
    """
    preset = preset or "full"
    if preset not in PRESETS:
        raise UnknownName("preset of space 'flexibert'", preset, PRESETS)
    return FlexiBertSpace(
        PRESETS[preset].config, input_size=input_size, in_channels=in_channels, num_classes=num_classes, preset=preset
    )


def _columns(layer: int) -> slice:
    """Where a layer's genes are."""
    return slice(_FIRST + _PER_LAYER * layer, _FIRST + _PER_LAYER * (layer + 1))


def _check(config: FlexiBertConfig) -> None:
    for name, choices in asdict(config).items():
        whole = all(isinstance(c, int) and not isinstance(c, bool) and c > 0 for c in choices)
        if not whole or len(choices) < 2 or list(choices) != sorted(set(choices)):
            raise UsageError(f"flexibert {name} must be at least two ascending positive integers, got {list(choices)}")
    for hidden in config.hiddens:
        for heads in config.heads:
            if hidden % heads:
                raise UsageError(f"flexibert: {heads} heads do not divide a hidden size of {hidden}")
