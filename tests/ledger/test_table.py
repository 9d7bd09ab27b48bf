from __future__ import annotations

import sys

import pandas
import pytest

from nas.errors import UsageError
from nas.evaluation import PARTIAL
from nas.ledger import Entry, trials_dataframe
from nas.searchers import Trial
from tests.searching import SPACE, pool, study

ARCHS = SPACE.architectures(pool()[:3])


def entry(number: int, metrics: dict[str, float], error: str | None = None) -> Entry:
    arch = ARCHS[number]
    return Entry(arch.digest, Trial(number, arch, metrics, batch=7), error, None, seconds=0.25 * number)


def test_one_row_a_trial() -> None:
    metrics = {"accuracy": 0.5, "seconds": 3.0}  # a metric may be called like a column
    frame = trials_dataframe(
        SPACE, [entry(0, metrics), entry(1, {}, error="too deep"), entry(2, {"accuracy": 0.1, PARTIAL: 64.0})]
    )
    assert list(frame.columns) == [
        "number", "digest", "state", "error", "batch", "seconds", *(f"gene.{name}" for name in SPACE.names),
        "accuracy", "metric.seconds", PARTIAL,
    ]  # fmt: skip
    assert frame["digest"].tolist() == [arch.digest for arch in ARCHS]
    assert frame["state"].tolist() == ["complete", "failed", "stopped"]
    assert frame["error"].fillna("").tolist() == ["", "too deep", ""]
    assert frame["batch"].tolist() == [7, 7, 7]
    assert frame["seconds"].tolist() == [0.0, 0.25, 0.5]
    assert frame["accuracy"].isna().tolist() == [False, True, False]
    for arch, row in zip(ARCHS, frame.itertuples(index=False), strict=True):
        genes = row[6 : 6 + len(SPACE.names)]
        assert [None if value is pandas.NA else value for value in genes] == list(arch.values)


def test_types_do_not_depend_on_which_genes_exist() -> None:
    frame = trials_dataframe(SPACE, [entry(0, {})])
    for gene in SPACE.genes:
        if all(type(choice) is int for choice in gene.choices):
            assert frame[f"gene.{gene.name}"].dtype == "Int64"
    assert trials_dataframe(SPACE, []).shape == (0, 6 + len(SPACE.names))


def test_a_study_has_a_table() -> None:
    with study() as search:
        search.run(5)
        frame = search.trials_dataframe()
    assert frame["macs"].tolist() == [trial.metrics["macs"] for trial in search.trials]


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        trials_dataframe(SPACE, [])
