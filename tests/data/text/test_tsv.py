from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.data import load, preprocessing_from_json
from nas.data.text.preprocessing import Padded, TextPreprocessing
from nas.data.text.text_data import TextData
from nas.data.text.tokenizer import PADDING, UNKNOWN
from nas.errors import CheckpointError, DataError, UsageError

pytest.importorskip("tokenizers", reason="the extra 'text' is not installed")

GOOD, BAD = (
    ("a fine film", "warm and fine acting", "fine , fine fun"),
    ("a dull film", "dull and flat", "flat plot , dull"),
)


def write(folder: Path, *, copies: int = 10, dev: str = "sentence\tlabel\nA FINE plot\tgood\nodd words\tbad\n") -> Path:
    lines = [
        f"{text}\t{label}" for _ in range(copies) for label, texts in (("good", GOOD), ("bad", BAD)) for text in texts
    ]
    (folder / "train.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    (folder / "dev.tsv").write_text(dev)
    return folder


def read(folder: Path, **changes: str) -> TextData:
    data = load(f"tsv:{write(folder, **changes)}")  # type: ignore[arg-type]
    assert isinstance(data, TextData)
    return data


def test_the_official_development_file_is_the_test_split_and_validation_comes_from_training_rows(
    tmp_path: Path,
) -> None:
    data = read(tmp_path)
    assert data.preprocessing.class_names == ("bad", "good")
    assert [data.size(split) for split in ("test", "validation", "calibration", "train")] == [2, 6, 3, 51]
    assert data.batch("test", slice(None))[1].tolist() == [1, 0]
    assert set(data.splits["validation"].labels.tolist()) == {0, 1}


def test_words_are_numbered_by_frequency_lower_case_and_filled_up(tmp_path: Path) -> None:
    data = read(tmp_path)
    tokens, labels = data.batch("test", [0, 1])
    assert tokens.shape == (2, *data.task.input_shape)
    assert tokens.dtype == labels.dtype == torch.int64
    # "fine" is the most frequent word of the training rows; "odd" and "words" are in none of them.
    assert int(tokens[0, 1]) == 2
    assert tokens[0, 3:].eq(PADDING).all()
    assert tokens[1, :3].tolist() == [UNKNOWN, UNKNOWN, PADDING]
    assert torch.equal(data.preprocessing.encode(["a  Fine plot"])[0], tokens[0])


def test_reading_twice_gives_the_same_and_another_text_another_digest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one, again = read(tmp_path), load(f"tsv:{tmp_path}")
    other = read(tmp_path / "b", dev="sentence\tlabel\na dull plot\tbad\nodd words\tgood\n")
    assert one.digest == again.digest != other.digest


def test_word_dropout_follows_the_generator_and_leaves_padding(tmp_path: Path) -> None:
    data = read(tmp_path)
    plain, _ = data.batch("train", slice(0, 32))
    first, again = (data.batch("train", slice(0, 32), generator=torch.Generator().manual_seed(3))[0] for _ in range(2))
    part = data.batch("train", slice(0, 32), generator=torch.Generator().manual_seed(3), part=slice(8, 16))[0]
    assert torch.equal(first, again)
    assert torch.equal(part, first[8:16])
    changed = first != plain
    assert changed.any()
    assert first[changed].eq(UNKNOWN).all()
    assert first[plain == PADDING].eq(PADDING).all()


def test_preprocessing_goes_through_json_and_masks_what_fills_a_text_up(tmp_path: Path) -> None:
    known = read(tmp_path).preprocessing
    again = preprocessing_from_json(known.to_json())
    assert again == known
    assert again.task == known.task
    inputs = known.example(5, generator=torch.Generator().manual_seed(0))
    known.check(inputs)

    class Counted(torch.nn.Module):
        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return mask.sum(1)

    assert torch.equal(known.deployed(Counted())(inputs), (inputs != PADDING).sum(1))
    assert isinstance(known.deployed(Counted()), Padded)


def test_inputs_of_another_kind_are_refused(tmp_path: Path) -> None:
    known = read(tmp_path).preprocessing
    for inputs in (torch.zeros(2, known.length), torch.zeros(2, known.length + 1, dtype=torch.int64)):
        with pytest.raises(UsageError, match=r"texts must be int64 \[batch, 8\]"):
            known.check(inputs)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.tsv", "a film\tgood\n", "first line must name the columns"),
        ("train.tsv", "sentence\tlabel\na film\n", "line 2: 1 columns, the first line names 2"),
        ("train.tsv", "sentence\tlabel\n\tgood\n", "line 2: a text and a label are needed"),
        ("train.tsv", "sentence\tlabel\na film\tgood\n", "1 classes; two are needed"),
        ("train.tsv", "sentence\tlabel\n", "has no texts"),
        ("train.tsv", "sentence\tlabel\na film\tgood\nb film\tbad\n", "too few to divide"),
        ("dev.tsv", "sentence\tlabel\na film\tugly\n", "label 'ugly' is not one of train.tsv's"),
        ("dev.tsv", None, "is missing; tsv:DIR needs train.tsv and dev.tsv"),
        ("dev.tsv", b"sentence\tlabel\n\xff\xfe\tgood\n", "UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(
    tmp_path: Path, name: str, text: str | bytes | None, said: str
) -> None:
    write(tmp_path)
    if text is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=said):
        load(f"tsv:{tmp_path}")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no folder; tsv:DIR is one with train\.tsv"):
        load(f"tsv:{write(tmp_path) / 'train.tsv'}")


def test_fewer_training_examples(tmp_path: Path) -> None:
    assert load(f"tsv:{write(tmp_path)}", train_images=20).size("train") == 20
    with pytest.raises(UsageError, match="1 to 51"):
        load(f"tsv:{tmp_path}", train_images=52)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"length": 0}, "length must be a positive integer"),
        ({"class_names": []}, "class_names must be a list of strings"),
        ({"tokenizer": 3}, "tokenizer must be a JSON object"),
        ({"kind": "sounds"}, "with a kind, one of images, tokens"),
    ],
)
def test_other_documents_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    known = read(tmp_path).preprocessing
    with pytest.raises(CheckpointError, match=said):
        preprocessing_from_json({**known.to_json(), **change})


def test_a_damaged_tokenizer_is_refused() -> None:
    broken = TextPreprocessing(4, 9, ("a", "b"), {"model": 3})
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        broken.encode(["a text"])
