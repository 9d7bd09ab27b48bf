"""Texts with classes, whole in memory as numbered tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from nas.data.dataset import SPLITS, Dataset, SplitName, check_split
from nas.data.text.preprocessing import TextPreprocessing
from nas.data.text.tokenizer import PADDING, UNKNOWN
from nas.task import TextClassification


@dataclass(frozen=True, slots=True, eq=False)
class TokenSplit:
    """Texts with labels.

    Args:
        tokens: int32 [N, T], filled up with 0.
        labels: int64 [N].
    """

    tokens: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class TextData(Dataset):
    """A data set of texts.

    Args:
        spec: What `load` was asked for.
        preprocessing: Tokenizer, length and class names.
        splits: By name, all of `SPLITS`.
        word_dropout: Chance that a word of a training text is taken for an unknown one.
    """

    spec: str
    preprocessing: TextPreprocessing
    splits: Mapping[str, TokenSplit]
    word_dropout: float = 0.1

    @property
    def task(self) -> TextClassification:
        """What it is for."""
        return self.preprocessing.task

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of tokens, labels, tokenizer and settings."""
        settings = json.dumps([self.preprocessing.to_json(), self.word_dropout], sort_keys=True)
        found = hashlib.sha256(settings.encode())
        for name in SPLITS:
            found.update(self.splits[name].tokens.contiguous().numpy().tobytes())
            found.update(self.splits[name].labels.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]

    def size(self, split: SplitName) -> int:
        """See `Dataset`."""
        check_split(split)
        return len(self.splits[split].labels)

    def batch(
        self,
        split: SplitName,
        rows: Sequence[int] | Tensor | slice,
        *,
        generator: torch.Generator | None = None,
        part: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> tuple[Tensor, Tensor]:
        """Tokens int64 [B, T] and labels int64 [B]; see `Dataset`."""
        check_split(split)
        held, chosen = self.splits[split], rows if isinstance(rows, slice) else torch.as_tensor(rows)
        tokens, labels = held.tokens[chosen].long(), held.labels[chosen]
        if generator is not None:
            lost = torch.rand(tokens.shape, generator=generator) < self.word_dropout
            tokens = torch.where(lost & (tokens != PADDING), UNKNOWN, tokens)
        return tokens[part].to(device), labels[part].to(device)

    def only(self, splits: Collection[SplitName]) -> TextData:
        """See `Dataset`."""
        empty = {
            name: TokenSplit(part.tokens[:0].clone(), part.labels[:0].clone()) for name, part in self.splits.items()
        }
        return replace(self, splits={name: self.splits[name] if name in splits else empty[name] for name in SPLITS})

    def adapted(self, network: nn.Module) -> nn.Module:
        """See `Dataset`: the network is told which tokens count."""
        return self.preprocessing.deployed(network)
