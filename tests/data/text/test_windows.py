from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.data.text.windows import word_windows
from nas.errors import DataError, UsageError


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("the cat and the dog and the bird sang\nfor the cat")
    return file


def test_words_are_numbered_by_how_often_they_occur(text: Path) -> None:
    windows = word_windows(text, length=4, vocabulary=4, count=50, seed=0)
    assert windows.shape == (50, 4)
    whole = [1, 2, 3, 1, 0, 3, 1, 0, 0, 0, 1, 2]  # the, cat and and are the most frequent; cat came first
    stretches = {tuple(whole[i : i + 4]) for i in range(9)}
    assert {tuple(row) for row in windows.tolist()} == stretches


def test_the_same_seed_gives_the_same_windows(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA_DIR", str(text.parent))
    first = word_windows(text, length=3, vocabulary=9, count=6, seed=1)
    assert torch.equal(first, word_windows(Path("words.txt"), length=3, vocabulary=9, count=6, seed=1))
    assert not torch.equal(first, word_windows(text, length=3, vocabulary=9, count=6, seed=2))


def test_errors(text: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        word_windows(text.with_name("other"), length=3, vocabulary=9, count=6, seed=1)
    with pytest.raises(DataError, match="12 words"):
        word_windows(text, length=30, vocabulary=9, count=6, seed=1)
    with pytest.raises(UsageError, match="positive"):
        word_windows(text, length=3, vocabulary=9, count=0, seed=1)
    text.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="UTF-8"):
        word_windows(text, length=3, vocabulary=9, count=6, seed=1)
