"""`nas profile`: how fast a front's members really are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Debug, Device, Json, RunFolder, Seed, emit

if TYPE_CHECKING:
    from rich.table import Table


def profile(
    directory: RunFolder,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images a pass.")] = 1,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default: as they are.")] = None,
    passes: Annotated[int, typer.Option("--passes", min=10, help="Measured passes, after warming up.")] = 50,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Measure latency_ms of the front's members on this device, beside their macs."""
    from nas.pipelines import profile as pipeline

    document = pipeline.profile(directory, batch=batch, threads=threads, passes=passes, device=device)
    table = _table(document["front"], batch, threads, document["device"])
    emit(document, as_json=as_json, human=[table, str(document["verdict"])])


def _table(rows: list[dict[str, Any]], batch: int, threads: int | None, device: str) -> Table:
    from rich import box
    from rich.table import Table

    from nas.search_spaces.metrics import MACS, PARAMS
    from nas.task import ACCURACY

    where = f"{device}, batch {batch}" + ("" if threads is None else f", {threads} threads")
    table = Table(
        title=f"latency_ms of the front on {where}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        padding=(0, 0, 0, 1), show_edge=False, min_width=40,
    )  # fmt: skip
    table.add_column("digest", no_wrap=True)
    for name in (MACS.column, PARAMS.column, ACCURACY.column, "median ms", "10-90 % ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        accuracy = "-" if row["accuracy"] is None else ACCURACY.text(row["accuracy"])
        spread = f"{row['latency_low_ms']:.3g}-{row['latency_high_ms']:.3g}"
        note = "not faster" if row["slower_than"] else ""
        table.add_row(
            row["digest"], MACS.text(row["macs"]), PARAMS.text(row["params"]), accuracy,
            f"{row['latency_ms']:.3g}", spread, note,
        )  # fmt: skip
    return table
