"""`nas trials`: every trial of a search as a table for other programs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.common import Debug, Device, Json, RunFolder, Seed, emit
from nas.errors import UsageError
from nas.files import replacing, write_text


def trials(
    directory: RunFolder,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write; --csv without it prints.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Apache Parquet, with the types of the columns.")] = False,
    storage: Annotated[
        str | None, typer.Option("--storage", help="The Optuna storage URL, where the search used one.")
    ] = None,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Write a search's trials as a table: one row a trial, one column a gene and a metric."""
    from nas import ledger

    check_form(file, csv=csv, parquet=parquet, as_json=as_json)
    frame = ledger.read(directory, storage=storage).trials_dataframe()
    if file is None:
        sys.stdout.write(frame.to_csv(index=False))
        return
    if csv:
        write_text(file, frame.to_csv(index=False))
    else:
        with replacing(file) as temporary:
            frame.to_parquet(temporary, engine="pyarrow", index=False)
    document = {"trials": len(frame), "columns": list(frame.columns), "file": str(file)}
    emit(document, as_json=as_json, human=[f"{file}: {len(frame):,} trials, {len(frame.columns)} columns"])


def check_form(file: Path | None, *, csv: bool, parquet: bool, as_json: bool) -> None:
    """Refuse options that do not say what to write where, before anything is read.

    Raises:
        UsageError: Neither or both forms, no file for what is not printed, or pyarrow is missing.
    """
    if csv == parquet:
        raise UsageError("choose one form: --csv, or --parquet FILE")
    if parquet and find_spec("pyarrow") is None:
        raise UsageError("--parquet needs pyarrow, which is not installed: pip install pyarrow")
    if file is None and parquet:
        raise UsageError("--parquet needs a FILE: nas trials DIR --parquet trials.parquet")
    if file is None and as_json:
        raise UsageError("--csv without a FILE and --json both want standard output; give a FILE")
