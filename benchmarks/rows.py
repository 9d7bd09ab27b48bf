"""Rows of published figures: one JSON object a line under results/, each with what it needs to be checked again."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"
RESULTS = Path(__file__).resolve().parent.parent / "results"


def machine() -> dict[str, Any]:
    """Commit, device, threads and versions of this run."""
    commit = _git("describe", "--always", "--dirty")
    facts: dict[str, Any] = {"commit": commit, "code": code(), "python": platform.python_version()}
    facts["cpu_cores"] = os.cpu_count()
    for package in ("numpy", "torch"):
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = None
    return facts


def code() -> str:
    """What identifies the package's sources: rows of equal ones may be compared, whatever else was committed since."""
    dirty = _git("status", "--porcelain", "nas") not in ("", UNKNOWN)
    return _git("rev-parse", "HEAD:nas") + ("-dirty" if dirty else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=RESULTS.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else UNKNOWN


def append(benchmark: str, key: Mapping[str, Any], values: Mapping[str, Any], *, device: str = "cpu") -> None:
    """Add one row to results/<benchmark>.jsonl.

    Args:
        benchmark: Name of the script.
        key: What was measured: settings and seed; `finished` looks rows up by it.
        values: The figures, each name with its unit (`wall_s`, `accuracy`, `ratio`).
        device: Where it ran.
    """
    row = {"benchmark": benchmark, "key": dict(key), "values": dict(values), "device": device}
    row |= machine() | {"date": datetime.date.today().isoformat()}
    with (RESULTS / f"{benchmark}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(benchmark: str) -> list[dict[str, Any]]:
    """All rows of a benchmark, oldest first."""
    path = RESULTS / f"{benchmark}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def finished(
    benchmark: str, key: Mapping[str, Any], *, device: str = "cpu", sources: str | None = None
) -> dict[str, Any] | None:
    """The values of the newest row with this key on this device, or None.

    Args:
        benchmark: Name of the script.
        key: What was measured.
        device: Where it ran.
        sources: Only rows of this `code`; None for any.
    """
    for row in reversed(read(benchmark)):
        if row["key"] == dict(key) and row["device"] == device and sources in (None, row.get("code")):
            values: dict[str, Any] = row["values"]
            return values
    return None
