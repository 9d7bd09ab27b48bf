from __future__ import annotations

import io
import sys
from pathlib import Path

import pandas
import pytest

from nas import ledger
from nas.ledger.table import GENE
from tests.cli.calling import nas, one_line
from tests.searching import study


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that needed no training."""
    directory = tmp_path_factory.mktemp("searched")
    with study(directory=directory) as search:
        search.run(6)
    return directory


def test_csv_goes_to_standard_output_or_into_a_file(searched: Path, tmp_path: Path) -> None:
    outcome = nas("trials", searched, "--csv")
    assert outcome.code == 0, outcome.err
    frame = pandas.read_csv(io.StringIO(outcome.out), dtype={"digest": str})
    record = ledger.read(searched)
    assert frame["digest"].tolist() == [trial.arch.digest for trial in record.trials]
    assert frame["accuracy"].tolist() == [trial.metrics["accuracy"] for trial in record.trials]  # to the last bit
    assert {GENE + name for name in record.space.names} <= set(frame.columns)
    path = tmp_path / "trials.csv"
    written = nas("trials", searched, "--csv", path)
    assert written.code == 0, written.err
    assert written.out == f"{path}: 6 trials, {len(frame.columns)} columns\n"
    assert path.read_text() == outcome.out


def test_parquet_keeps_the_types(searched: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "trials.parquet"
    outcome = nas("trials", searched, "--parquet", path, "--json")
    assert outcome.code == 0, outcome.err
    frame = ledger.read(searched).trials_dataframe()
    assert outcome.document == {"trials": 6, "columns": list(frame.columns), "file": str(path)}
    pandas.testing.assert_frame_equal(pandas.read_parquet(path), frame)
    assert [p.name for p in tmp_path.iterdir()] == ["trials.parquet"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "choose one form: --csv, or --parquet FILE"),
        (["--csv", "--parquet", "file"], "choose one form"),
        (["--parquet"], "--parquet needs a FILE"),
        (["--csv", "--json"], "give a FILE"),
        (["--cvs"], "Did you mean '--csv'?"),
    ],
)
def test_wrong_use(searched: Path, words: list[str], hint: str) -> None:
    outcome = nas("trials", searched, *words)
    assert hint in one_line(outcome)
    assert outcome.code == 2


def test_what_cannot_be_read_or_written(searched: Path, tmp_path: Path) -> None:
    outcome = nas("trials", tmp_path, "--csv")
    assert "holds no search" in one_line(outcome)
    assert outcome.code == 1
    outcome = nas("trials", searched, "--csv", tmp_path)
    assert f"cannot write {tmp_path}: " in one_line(outcome)
    assert outcome.code == 1


def test_a_missing_package_is_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    outcome = nas("trials", tmp_path, "--parquet", tmp_path / "t.parquet")
    assert "--parquet needs pyarrow, which is not installed: pip install pyarrow" in one_line(outcome)
    assert outcome.code == 2


def test_a_search_in_a_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    with study(directory=tmp_path / "run", storage=url) as search:
        search.run(3)
    outcome = nas("trials", tmp_path / "run", "--csv", "--storage", url)
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 4
