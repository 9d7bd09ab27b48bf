"""The trials of a search as a table of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.evaluation import PARTIAL
from nas.ledger.entries import Entry
from nas.search_spaces import SearchSpace

if TYPE_CHECKING:
    import pandas

GENE = "gene."  # how the columns of genes begin
_TYPES: dict[type, str] = {bool: "boolean", int: "Int64", float: "Float64", str: "string"}  # all of them know <NA>


def trials_dataframe(space: SearchSpace, entries: Sequence[Entry]) -> pandas.DataFrame:
    """One row a finished trial, oldest first.

    Columns: `number`, `digest`, `state` ("complete", "stopped" early by racing, or "failed"), `error`, `batch` and
    `seconds`; one a gene, such as `gene.stage0.width`, <NA> where it does not exist; one a metric, such as `accuracy`,
    NaN where the trial has none.

    Args:
        space: Of every architecture.
        entries: The trials of a ledger.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise UsageError("a table of trials needs pandas, which is not installed: pip install pandas") from None
    trials = [entry.trial for entry in entries]
    columns: dict[str, Any] = {
        "number": pandas.array([trial.number for trial in trials], dtype="int64"),
        "digest": pandas.array([entry.digest for entry in entries], dtype="string"),
        "state": pandas.array([_state(entry) for entry in entries], dtype="string"),
        "error": pandas.array([entry.error for entry in entries], dtype="string"),
        "batch": pandas.array([trial.batch for trial in trials], dtype="int64"),
        "seconds": pandas.array([entry.seconds for entry in entries], dtype="float64"),
    }
    for position, gene in enumerate(space.genes):
        types = {type(choice) for choice in gene.choices}
        kind = _TYPES.get(types.pop(), "object") if len(types) == 1 else "object"
        columns[GENE + gene.name] = pandas.array([trial.arch.values[position] for trial in trials], dtype=kind)
    for metric in dict.fromkeys(name for trial in trials for name in trial.metrics):
        name = f"metric.{metric}" if metric in columns else metric
        values = [trial.metrics.get(metric, float("nan")) for trial in trials]
        columns[name] = pandas.array(values, dtype="float64")
    return pandas.DataFrame(columns)


def _state(entry: Entry) -> str:
    if entry.error is not None:
        return "failed"
    return "stopped" if PARTIAL in entry.trial.metrics else "complete"
