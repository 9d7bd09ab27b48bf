"""Plain text as windows of numbered words, for what looks at transformers without training them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import DataError, UsageError
from nas.files import locate, reason


def word_windows(path: Path, *, length: int, vocabulary: int, count: int, seed: int) -> Tensor:
    """[count, length] int64: stretches of a text, its words numbered from 1 by how often they occur, others 0.

    Args:
        path: A UTF-8 file; a relative one is also looked for under NAS_DATA_DIR.
        length: Words a window.
        vocabulary: Numbers there are, 0 included.
        count: Windows, from random places.
        seed: Of the places.

    Raises:
        DataError: The file is missing, is no text, or is shorter than a window.
        UsageError: A count is not positive.
    """
    if min(length, count) < 1 or vocabulary < 2:
        raise UsageError("windows of words need positive counts and a vocabulary of at least 2")
    try:
        words = locate(str(path), usage="text:FILE").read_text(encoding="utf-8").split()
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise DataError(f"{path} is not a UTF-8 text: {reason(error)}") from None
    if len(words) <= length:
        raise DataError(f"{path} has {len(words)} words, fewer than the {length + 1} that a window needs")
    places = {word: i for i, (word, _) in enumerate(Counter(words).most_common(vocabulary - 1), 1)}
    numbers = torch.tensor([places.get(word, 0) for word in words])
    starts = torch.randint(0, len(numbers) - length + 1, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.stack([numbers[start : start + length] for start in starts.tolist()])
