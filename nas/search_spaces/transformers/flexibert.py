"""The text encoders of FlexiBERT (Tuli et al. 2022), in the space that Serianni and Kalita (2023) tabulated.

Every layer chooses how its tokens meet, and what follows on each of them; the width is that of the whole network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.search_spaces.cost_terms import Chosen, CostTerm, tabulated
from nas.search_spaces.gene import Gene, Indices
from nas.search_spaces.reading import read_description, require_kind
from nas.search_spaces.space import SearchSpace
from nas.task import Task, TextClassification

OPERATIONS = ("dct", "dft", "sdp", "conv5", "conv9", "wma")  # fewest parameters first
KERNELS = {"conv5": 5, "conv9": 9}
_HIDDEN = 0  # position of the gene


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
        task: What it is shown with, and made for where nobody says.
        config: The choices.
    """

    summary: str
    task: TextClassification
    config: FlexiBertConfig


PRESETS = {
    "full": Preset(
        "encoders of 2 or 4 layers that mix attention, Fourier and cosine transforms, dynamic convolution",
        TextClassification(128, 30_522, 3),
        FlexiBertConfig(hiddens=(128, 256), depths=(2, 4), heads=(2, 4), widths=(512, 1024), stacks=(1, 3)),
    ),
    "tiny": Preset(
        "the same in small, for trying things out", TextClassification(16, 100, 3),
        FlexiBertConfig(hiddens=(16, 32), depths=(1, 2), heads=(2, 4), widths=(64, 96), stacks=(1, 2)),
    ),
}  # fmt: skip


@final
class FlexiBertSpace(SearchSpace):
    """All encoders with these choices; the genes of a layer exist where the depth reaches it.

    A member is a network of its own, `nas.networks.flexibert`: there are no shared weights.

    Args:
        config: The choices.
        task: Its `length` is the most tokens of a sequence; `macs` are those of a sequence of so many.
        preset: The preset's name, for people to read.

    Raises:
        UsageError: A count is not positive, choices are not ascending, or heads do not divide a hidden size.
    """

    name = "flexibert"
    version = 1
    task: TextClassification

    def __init__(self, config: FlexiBertConfig, *, task: TextClassification, preset: str = "custom") -> None:
        _check(config)
        self.config = config
        self.task = task
        self.preset = preset

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Hidden size and depth, then per layer operation, heads, width and stack."""
        c = self.config
        genes = [Gene("hidden", c.hiddens, "hidden"), Gene("depth", c.depths, "depth")]
        for layer in range(c.depths[-1]):
            conditions = {"depth": tuple(d for d in c.depths if d > layer)} if layer >= c.depths[0] else {}
            genes += [
                Gene(f"layer{layer}.{kind}", choices, kind, conditions)
                for kind, choices in (
                    ("operation", OPERATIONS), ("heads", c.heads), ("width", c.widths), ("stack", c.stacks)
                )
            ]  # fmt: skip
        return tuple(genes)

    @cached_property
    def cost_terms(self) -> tuple[CostTerm, ...]:
        """One for what surrounds the layers, and for each layer one of its operation and one of what follows."""
        genes = {gene.name: gene for gene in self.genes}
        terms = [tabulated((genes["hidden"],), self._frame_cost)]
        for layer in range(self.config.depths[-1]):
            operation, heads, width, stack = (
                genes[f"layer{layer}.{kind}"] for kind in ("operation", "heads", "width", "stack")
            )
            terms.append(tabulated((genes["hidden"], operation, heads), self._operation_cost))
            terms.append(tabulated((genes["hidden"], width, stack), self._feed_forward_cost))
        return tuple(terms)

    def _frame_cost(self, chosen: Chosen) -> tuple[int, int]:
        """Params and macs of embeddings, their norm and the classifier."""
        (hidden,) = map(int, chosen.values())
        tables, classes = self.task.vocabulary + self.task.length, self.task.classes
        return (tables + 2) * hidden + (hidden + 1) * classes, hidden * classes

    def _operation_cost(self, chosen: Chosen) -> tuple[int, int]:
        hidden, operation, heads = chosen.values()
        return operation_cost(str(operation), int(hidden), int(heads), self.task.length)

    def _feed_forward_cost(self, chosen: Chosen) -> tuple[int, int]:
        hidden, width, stack = map(int, chosen.values())
        return feed_forward_cost(hidden, width, stack, self.task.length)

    def embedding_params_of(self, indices: Indices) -> NDArray[np.int64]:
        """[N]: how many of "params" lie in the tables of words and positions."""
        hidden = np.array(self.config.hiddens, np.int64)[indices[:, _HIDDEN]]
        return hidden * (self.task.vocabulary + self.task.length)

    def to_json(self) -> dict[str, Any]:
        """See `SearchSpace`."""
        return {
            "name": self.name, "version": self.version, "preset": self.preset,
            "config": {name: list(choices) for name, choices in asdict(self.config).items()},
            "task": self.task.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FlexiBertSpace:
        """The space that `to_json` wrote.

        Raises:
            UsageError: The document is of another form or version.
        """
        config, task, preset = read_description(cls, document, _config_in, TextClassification)
        return cls(config, task=task, preset=preset)


def _config_in(document: Mapping[str, Any]) -> FlexiBertConfig:
    return FlexiBertConfig(**{name: tuple(choices) for name, choices in document.items()})


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


def build(task: Task | None, preset: str | None) -> FlexiBertSpace:
    """The space with a preset's choices and task; None takes those of the table.

    Raises:
        UnknownName: No such preset.
        UsageError: See `FlexiBertSpace`.
    """
    preset = preset or "full"
    if preset not in PRESETS:
        raise UnknownName("preset of space 'flexibert'", preset, PRESETS)
    chosen = PRESETS[preset]
    texts = require_kind("flexibert", chosen.task if task is None else task, TextClassification)
    return FlexiBertSpace(chosen.config, task=texts, preset=preset)


def _check(config: FlexiBertConfig) -> None:
    for name, choices in asdict(config).items():
        whole = all(isinstance(c, int) and not isinstance(c, bool) and c > 0 for c in choices)
        if not whole or len(choices) < 2 or list(choices) != sorted(set(choices)):
            raise UsageError(f"flexibert {name} must be at least two ascending positive integers, got {list(choices)}")
    for hidden in config.hiddens:
        for heads in config.heads:
            if hidden % heads:
                raise UsageError(f"flexibert: {heads} heads do not divide a hidden size of {hidden}")
