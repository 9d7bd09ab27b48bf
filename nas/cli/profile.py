"""`nas profile`: how fast a front's members really are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Debug, Device, Json, Run, Seed, emit, resolve_device
from nas.files import write_json

if TYPE_CHECKING:
    from rich.table import Table

    from nas.cli.runs import OpenRun


def profile(
    directory: Run,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images a pass.")] = 1,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default: as they are.")] = None,
    passes: Annotated[int, typer.Option("--passes", min=10, help="Measured passes, after warming up.")] = 50,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Measure latency_ms of the front's members on this device, beside their macs."""
    from nas.cli import runs

    chosen = resolve_device(device)
    run = runs.open_run(directory)
    rows = measured(run, batch=batch, threads=threads, passes=passes, device=chosen)
    document = {
        "batch": batch,
        "threads": threads,
        "passes": passes,
        "device": chosen,
        "front": rows,
        "smaller_but_not_faster": [row["digest"] for row in rows if row["slower_than"]],
        "verdict": verdict(rows),
    }
    write_json(directory / runs.PROFILE, document)
    emit(document, as_json=as_json, human=[_table(rows, batch, threads, chosen), str(document["verdict"])])


def measured(run: OpenRun, *, batch: int, threads: int | None, passes: int, device: str) -> list[dict[str, Any]]:
    """One row a member, fewest multiply-adds first."""
    from nas.evaluation.latency import measure_latency

    supernet = run.stored.supernet
    space = supernet.space
    rows = []
    for member in run.front():
        arch = space.from_document(member["arch"])
        found = measure_latency(
            supernet.extract(arch), space.task, batch=batch, threads=threads, device=device, passes=passes
        )
        rows.append(
            {
                "digest": arch.digest,
                "macs": space.cost(arch).macs,
                "params": space.cost(arch).params,
                "accuracy": member["metrics"].get("accuracy"),
                "latency_ms": found.median_ms,
                "latency_low_ms": found.low_ms,
                "latency_high_ms": found.high_ms,
            }
        )
    rows.sort(key=lambda row: (row["macs"], row["latency_ms"]))
    for i, row in enumerate(rows):
        row["slower_than"] = slower_than(row, rows[i + 1 :])
    return rows


def slower_than(row: dict[str, Any], bigger: list[dict[str, Any]]) -> str | None:
    """The fastest member with more multiply-adds whose median is not above this one's; None if there is none."""
    faster = [b for b in bigger if b["macs"] > row["macs"] and b["latency_ms"] <= row["latency_ms"]]
    return min(faster, key=lambda b: b["latency_ms"])["digest"] if faster else None


def verdict(rows: list[dict[str, Any]]) -> str:
    """In words: whether fewer multiply-adds mean less time here."""
    by_digest = {row["digest"]: row for row in rows}
    beaten = [row for row in rows if row["slower_than"]]
    if not beaten:
        return f"all {len(rows)} members: fewer macs are less time here"
    worst = max(beaten, key=lambda row: by_digest[row["slower_than"]]["macs"] / row["macs"])
    other = by_digest[worst["slower_than"]]
    return (
        f"smaller but not faster: {len(beaten)} of {len(rows)} members; {worst['digest']} has "
        f"{1 - worst['macs'] / other['macs']:.0%} fewer macs than {other['digest']} and takes "
        f"{worst['latency_ms']:.3g} ms against {other['latency_ms']:.3g} ms; search with --objective min:latency_ms"
    )


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
