"""How texts become a network's input, and what its outputs are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas.data.preprocessing import Preprocessing
from nas.data.text.tokenizer import PADDING, WordTokenizer
from nas.errors import CheckpointError, UsageError
from nas.task import TextClassification


@dataclass(frozen=True, slots=True)
class TextPreprocessing(Preprocessing):
    """The tokenizer that numbers words, the length that texts have, and the classes.

    Args:
        length: T, tokens of a text; longer ones are cut, shorter ones filled up with 0.
        vocabulary: Numbers that the tokenizer gives.
        class_names: Names of the classes, by label.
        tokenizer: In the JSON form of the package `tokenizers`.
    """

    kind: ClassVar[str] = "tokens"
    inputs: ClassVar[str] = "int64 [batch, length], numbers of the tokenizer in `preprocessing`, filled up with 0"
    outputs: ClassVar[str] = "float32 [batch, classes], logits"

    length: int
    vocabulary: int
    class_names: tuple[str, ...]
    tokenizer: Mapping[str, Any] = field(hash=False)

    @property
    def task(self) -> TextClassification:
        """What it is for."""
        return TextClassification(self.length, self.vocabulary, len(self.class_names))

    def deployed(self, network: nn.Module) -> nn.Module:
        """See `Preprocessing`: tokens that fill a text up do not count."""
        return Padded(network)

    def check(self, inputs: Tensor) -> None:
        """Whole numbers [B, T] of the network's length.

        Raises:
            UsageError: They are of another type or shape.
        """
        if inputs.dtype != torch.int64 or inputs.ndim != 2 or inputs.shape[1] != self.length:
            got = f"{str(inputs.dtype).removeprefix('torch.')} {list(inputs.shape)}"
            raise UsageError(f"texts must be int64 [batch, {self.length}], got {got}; encode them with the tokenizer")

    def example(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Random words, each text of another length."""
        tokens = self.task.example(count, generator=generator)
        lengths = torch.randint(1, self.length + 1, (count, 1), generator=generator)
        return torch.where(torch.arange(self.length) < lengths, tokens, PADDING)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind, "length": self.length, "vocabulary": self.vocabulary,
            "class_names": list(self.class_names), "tokenizer": dict(self.tokenizer),
        }  # fmt: skip

    @classmethod
    def from_json(cls, document: Any) -> TextPreprocessing:
        """What `to_json` wrote.

        Raises:
            CheckpointError: The document is of another form.
        """
        keys = ("length", "vocabulary", "class_names", "tokenizer")
        if not isinstance(document, Mapping) or not all(key in document for key in keys):
            raise CheckpointError(f"preprocessing must be a JSON object with {', '.join(keys)}")
        length, vocabulary, names, tokenizer = (document[key] for key in keys)
        for key, value in (("length", length), ("vocabulary", vocabulary)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CheckpointError(f"preprocessing: {key} must be a positive integer, got {value!r}")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise CheckpointError("preprocessing: class_names must be a list of strings")
        if not isinstance(tokenizer, dict):
            raise CheckpointError("preprocessing: tokenizer must be a JSON object")
        return cls(length, vocabulary, tuple(names), tokenizer)

    def encode(self, texts: list[str]) -> Tensor:
        """[N, length] int64, as exported networks take them.

        Raises:
            MissingPackage: `tokenizers` is not installed.
        """
        return WordTokenizer(dict(self.tokenizer)).encode(texts, length=self.length).long()


class Padded(nn.Module):
    """A network of texts that are filled up with 0.

    Args:
        network: Called as `network(tokens, mask)`; the mask is true for tokens that count.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, T] int64 to what the network gives."""
        outputs: Tensor = self.network(tokens, tokens != PADDING)
        return outputs
