"""How fast a front's members really are on this device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.files import write_json
from nas.pipelines.devices import resolve_device
from nas.pipelines.runs import PROFILE, Run, as_run


def profile(
    run: Run | Path | str,
    *,
    batch: int = 1,
    threads: int | None = None,
    passes: int = 50,
    device: str | None = None,
) -> dict[str, Any]:
    """Measure `latency_ms` of the front's members on this device, beside their macs; writes profile.json.

    Args:
        run: A run with a finished search, or its folder.
        batch: Inputs a pass.
        threads: CPU threads; None: as they are.
        passes: Measured passes, after warming up.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Returns:
        The settings, `front` with one row a member, fewest multiply-adds first, `smaller_but_not_faster` with digests,
        and a `verdict` in words.

    Raises:
        CheckpointError: No folder, no supernet in it, or a damaged file.
        StudyError: No search has ended here.
        UsageError: A count is not positive.
    """
    chosen = resolve_device(device)
    opened = as_run(run)
    rows = _measured(opened, batch=batch, threads=threads, passes=passes, device=chosen)
    document = {
        "batch": batch,
        "threads": threads,
        "passes": passes,
        "device": chosen,
        "front": rows,
        "smaller_but_not_faster": [row["digest"] for row in rows if row["slower_than"]],
        "verdict": verdict(rows),
    }
    write_json(opened.directory / PROFILE, document)
    return document


def _measured(run: Run, *, batch: int, threads: int | None, passes: int, device: str) -> list[dict[str, Any]]:
    """One row a member, fewest multiply-adds first."""
    from nas.evaluation.latency import measure_latency

    supernet = run.stored.supernet
    space = supernet.space
    rows = []
    for member in run.front():
        arch = space.from_document(member["arch"])
        latency = measure_latency(
            supernet.extract(arch), space.task, batch=batch, threads=threads, device=device, passes=passes
        )
        rows.append(
            {
                "digest": arch.digest,
                "macs": space.cost(arch).macs,
                "params": space.cost(arch).params,
                "accuracy": member["metrics"].get("accuracy"),
                "latency_ms": latency.median_ms,
                "latency_low_ms": latency.low_ms,
                "latency_high_ms": latency.high_ms,
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
