"""The main job: `nas search --space mobilenet --data digits` from nothing, timed, with three seeds.

python -m benchmarks.search_digits
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import rows

NAME = "search_digits"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for seed in range(options.seeds):
        if rows.finished(NAME, {"seed": seed}) is not None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "nas.cli", "search", "--space", "mobilenet", "--data", "digits"]
            command += ["--seed", str(seed), "--out", str(Path(folder) / "run"), "--json"]
            began = time.monotonic()
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            wall = time.monotonic() - began
        found = json.loads(done.stdout)
        best, knee = found["best"]["metrics"], found["knee"]["metrics"]
        values = {
            "wall_s": wall, "training_s": found["training_s"], "trials": found["trials"],
            "front": len(found["front"]), "best_test_accuracy": best["test_accuracy"], "best_macs": best["macs"],
            "knee_test_accuracy": knee["test_accuracy"], "knee_macs": knee["macs"],
            "front_test_accuracy": [member["metrics"]["test_accuracy"] for member in found["front"]],
            "front_accuracy": [member["metrics"]["accuracy"] for member in found["front"]],
        }  # fmt: skip
        rows.append(NAME, {"seed": seed}, values)
        print(seed, values, flush=True)


if __name__ == "__main__":
    main()
