"""Texts to numbers: whole words, by how often the training texts have them. Needs the package `tokenizers`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.errors import CheckpointError, MissingPackage
from nas.extras import TEXT, require

PADDING, UNKNOWN = 0, 1  # numbers of the two tokens that are no words
LEAST = 2  # times that a word must occur to have a number of its own


def _library() -> Any:
    require(TEXT, purpose="reading texts")
    import tokenizers

    return tokenizers


class WordTokenizer:
    """Lower-case words and punctuation, numbered from 2; 0 fills a text up, 1 stands for every other word.

    Args:
        document: A tokenizer in the JSON form of `tokenizers`, which other programs read too.

    Raises:
        CheckpointError: It is of another form.
        MissingPackage: `tokenizers` is not installed.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        try:
            self._tokenizer = _library().Tokenizer.from_str(json.dumps(document))
        except MissingPackage:
            raise
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"not a tokenizer: {' '.join(str(error).split())[:120]}") from None
        self.document = document

    @classmethod
    def trained(cls, texts: Sequence[str], *, vocabulary: int) -> WordTokenizer:
        """The words that these texts have at least twice, most frequent first; equal ones in alphabetical order.

        Args:
            texts: The training texts.
            vocabulary: Most numbers, with the two that are no words.

        Raises:
            MissingPackage: `tokenizers` is not installed.
        """
        library = _library()
        normalizer, splitter = (
            library.normalizers.BertNormalizer(lowercase=True),
            library.pre_tokenizers.BertPreTokenizer(),
        )
        counts = Counter(
            word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
        )
        known = sorted((word for word, times in counts.items() if times >= LEAST), key=lambda w: (-counts[w], w))
        numbers = {"[PAD]": PADDING, "[UNK]": UNKNOWN}
        numbers |= {word: number for number, word in enumerate(known[: vocabulary - 2], 2)}
        made = library.Tokenizer(library.models.WordLevel(numbers, unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizer, splitter
        return cls(json.loads(made.to_str()))

    @property
    def vocabulary(self) -> int:
        """Numbers there are."""
        return int(self._tokenizer.get_vocab_size())

    def words(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def encode(self, texts: Sequence[str], *, length: int) -> Tensor:
        """[N, length] int32: longer texts are cut, shorter ones filled up with 0."""
        rows = np.full((len(texts), length), PADDING, dtype=np.int32)
        for row, encoding in enumerate(self._tokenizer.encode_batch(list(texts))):
            numbers = encoding.ids[:length]
            rows[row, : len(numbers)] = numbers
        return torch.from_numpy(rows)
