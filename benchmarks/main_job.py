"""The main job from nothing: `nas search --space mobilenet --data digits`, three seeds, each in a fresh folder.

python -m benchmarks.main_job
python -m benchmarks.main_job --summary
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import rows

NAME = "main_job"
SEEDS = (0, 1, 2)
PICTURE = rows.RESULTS / "main_job_front.png"


def run(seed: int) -> None:
    """One run in a process of its own, with its wall time, and every front member's accuracy on the test split."""
    words = ["search", "--space", "mobilenet", "--data", "digits", "--seed", str(seed), "--device", "cpu", "--json"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "nas.cli", *words, "--out", f"{folder}/run"]
        document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        wall_s = time.monotonic() - began
        if seed == SEEDS[0]:
            shutil.copyfile(Path(folder, "run", "front.png"), PICTURE)
    figures = ("accuracy", "test_accuracy", "macs", "params")
    values = {
        "wall_s": wall_s,
        "training_s": document["training_s"],
        "trials": document["trials"],
        "epochs": document["recipe"]["epochs"],
        "best_test_accuracy": document["best"]["metrics"]["test_accuracy"],
        "front": [{name: member["metrics"][name] for name in figures} for member in document["front"]],
    }
    rows.append(NAME, {"seed": seed}, values)


def summary() -> str:
    """The rows as lines."""

    def line(row: dict[str, Any]) -> str:
        values = row["values"]
        lowest = min(member["test_accuracy"] for member in values["front"])
        return (
            f"seed {row['key']['seed']}: {values['wall_s']:.0f} s, best {values['best_test_accuracy']:.2%} test, "
            f"front of {len(values['front'])} from {lowest:.2%} test"
        )

    return "\n".join(map(line, rows.read(NAME)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--summary", action="store_true")
    if not parser.parse_args().summary:
        for each in SEEDS:
            if rows.finished(NAME, {"seed": each}) is None:
                run(each)
    print(summary())
