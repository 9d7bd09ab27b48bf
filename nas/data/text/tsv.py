"""`tsv:DIR`: texts with labels in train.tsv and dev.tsv, the form of GLUE's single-sentence tasks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch

from nas.data.dataset import SplitName
from nas.data.stratified import interleaved
from nas.data.text.preprocessing import TextPreprocessing
from nas.data.text.text_data import TextData, TokenSplit
from nas.data.text.tokenizer import WordTokenizer
from nas.errors import DataError, UsageError
from nas.files import locate

TEXT, LABEL = ("sentence", "text"), ("label",)  # names of columns
MOST_WORDS, MOST_TOKENS = 16_384, 128
VALIDATION_SHARE, MOST_VALIDATION = 0.1, 2_000
CALIBRATION_SHARE, MOST_CALIBRATION = 0.05, 1_000


def load(path: str, *, train_examples: int | None = None) -> TextData:
    """Texts of a folder: the official development file is the test split, validation comes from training rows.

    Args:
        path: A folder with train.tsv and dev.tsv, tab-separated, whose first line names the columns `sentence` (or
            `text`) and `label`.
        train_examples: Keep only the first so many of the train split.

    Raises:
        UsageError: The path is empty, or `train_examples` is out of range.
        DataError: A file is missing or of another form; names the file and the line.
    """
    folder = locate(path, usage="tsv:DIR")
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is no folder; tsv:DIR is one with train.tsv and dev.tsv")
    given, test = (_rows(folder / name) for name in ("train.tsv", "dev.tsv"))
    names = sorted({label for _, label in given})
    if len(names) < 2:
        raise DataError(f"{str(folder / 'train.tsv')!r} has {len(names)} classes; two are needed")
    for number, (_, label) in enumerate(test, 2):
        if label not in names:
            raise DataError(f"{str(folder / 'dev.tsv')!r}, line {number}: label {label!r} is not one of train.tsv's")
    parts = _divided([names.index(label) for _, label in given])
    train = parts["train"]
    if train_examples is not None:
        if not 1 <= train_examples <= len(train):
            raise UsageError(f"train_examples must be 1 to {len(train)} for {path!r}, got {train_examples}")
        parts["train"] = train = train[:train_examples]
    shown = [given[row][0] for row in train]
    tokenizer = WordTokenizer.trained(shown, vocabulary=MOST_WORDS)
    length = min(MOST_TOKENS, -(-max(tokenizer.words(shown)) // 8) * 8)
    splits: dict[str, TokenSplit] = {
        name: _tokens(tokenizer, [given[row] for row in rows], names, length) for name, rows in parts.items()
    }
    splits["test"] = _tokens(tokenizer, test, names, length)
    preprocessing = TextPreprocessing(length, tokenizer.vocabulary, tuple(names), tokenizer.document)
    return TextData(f"tsv:{path}", preprocessing, splits)


def _rows(path: Path) -> list[tuple[str, str]]:
    """(text, label) of every line but the first."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except FileNotFoundError:
        raise DataError(f"{str(path)!r} is missing; tsv:DIR needs train.tsv and dev.tsv") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{str(path)!r} cannot be read as UTF-8 text: {error}") from None
    head = [name.strip().lower() for name in lines[0]] if lines else []
    columns = [next((head.index(name) for name in wanted if name in head), None) for wanted in (TEXT, LABEL)]
    if None in columns:
        raise DataError(f"{str(path)!r}: the first line must name the columns 'sentence' and 'label', it has {head}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        if len(line) != len(head):
            raise DataError(f"{str(path)!r}, line {number}: {len(line)} columns, the first line names {len(head)}")
        text, label = (line[column].strip() for column in columns if column is not None)
        if not text or not label:
            raise DataError(f"{str(path)!r}, line {number}: a text and a label are needed, one is empty")
        rows.append((text, label))
    if not rows:
        raise DataError(f"{str(path)!r} has no texts")
    return rows


def _divided(labels: list[int]) -> dict[SplitName, list[int]]:
    """Rows of three fixed, disjoint, stratified splits of the training file."""
    order = interleaved(np.array(labels))
    validation = min(MOST_VALIDATION, round(VALIDATION_SHARE * len(order)))
    calibration = min(MOST_CALIBRATION, round(CALIBRATION_SHARE * len(order)))
    held, used, train = np.split(order, [validation, validation + calibration])
    if min(len(held), len(used), len(train)) < 2:
        raise DataError(f"{len(order)} training texts are too few to divide into three splits")
    return {"validation": held.tolist(), "calibration": used.tolist(), "train": train.tolist()}


def _tokens(tokenizer: WordTokenizer, rows: list[tuple[str, str]], names: list[str], length: int) -> TokenSplit:
    labels = torch.tensor([names.index(label) for _, label in rows])
    return TokenSplit(tokenizer.encode([text for text, _ in rows], length=length), labels)
