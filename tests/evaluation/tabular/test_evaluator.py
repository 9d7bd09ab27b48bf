from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from nas.errors import DataError
from nas.evaluation import Failure
from nas.evaluation.tabular.evaluator import TableEvaluator, located, read_csv, read_json
from tests.spaces import SPACES

A, B = SPACES["learned"].smallest(), SPACES["learned"].largest()


def test_it_answers_from_its_rows_in_order() -> None:
    rows = {A: {"accuracy": 0.5}}
    outcomes = TableEvaluator(rows).evaluate([B, A, A])
    assert outcomes == [Failure(f"{B.digest} is not in the table"), {"accuracy": 0.5}, {"accuracy": 0.5}]
    answer = outcomes[1]
    assert isinstance(answer, dict)
    answer["accuracy"] = 0.0
    assert rows[A] == {"accuracy": 0.5}  # what it hands out is the caller's


@pytest.mark.parametrize("packed", [False, True])
def test_csv_files_packed_or_not(tmp_path: Path, packed: bool) -> None:
    text = "ops,accuracy\n012,\n123,0.5\n"
    path = tmp_path / ("t.csv.xz" if packed else "t.csv")
    path.write_bytes(lzma.compress(text.encode()) if packed else text.encode())
    assert read_csv(path, ["ops"]) == [{"ops": "012", "accuracy": ""}, {"ops": "123", "accuracy": "0.5"}]


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("ops,c10_val_200ep\n")
    with pytest.raises(DataError, match=r"no column 'c10_val_20ep', .* nearest that it has is 'c10_val_200ep'"):
        read_csv(tmp_path / "t.csv", ["ops", "c10_val_20ep"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv.xz", lzma.compress(b"ops,a\n1,2\n" * 500)[:-30]),
        ("t.csv.xz", b"ops,a\n1,2\n"),
        ("t.csv", b"ops,a\n\xff\xfe,2\n"),
        ("t.csv", b"ops,a\n1\n"),
        ("t.csv", b"ops,a\n1,2,3\n"),
    ],
    ids=["truncated", "not packed", "not text", "short row", "long row"],
)
def test_damaged_csv_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="not a readable table") as error:
        read_csv(tmp_path / name, ["ops"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[1, ", b'"\xff"', b"[" * 100_000], ids=["empty", "cut", "not text", "deep"])
def test_damaged_json_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(DataError, match="not valid JSON") as error:
        read_json(tmp_path / "t.json")
    assert "\n" not in str(error.value)


def test_relative_paths_are_looked_for_below_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "nas").mkdir(parents=True)
    (tmp_path / "data" / "nas" / "t.json").write_text("[2]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_DATA_DIR", raising=False)
    with pytest.raises(DataError, match=r"'nas/t\.json' does not exist; set NAS_DATA_DIR"):
        located(Path("nas/t.json"))
    monkeypatch.setenv("NAS_DATA_DIR", str(tmp_path / "data"))
    assert read_json(Path("nas/t.json")) == [2]
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "t.json").write_text("[1]")
    assert read_json(Path("nas/t.json")) == [1]  # what is here comes first
    with pytest.raises(DataError, match="nas is no file"):
        located(Path("nas"))  # a folder
