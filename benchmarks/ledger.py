"""How long a ledger of 10,000 trials takes to open: to read it, and to go on with it.

python -m benchmarks.ledger
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import rows
from nas import ledger
from nas.ledger import Identity, Ledger
from nas.objectives import Constraint, Objective
from nas.search_spaces import get
from nas.task import ImageClassification

NAME = "ledger"
BATCH = 32
OBJECTIVES = [Objective("accuracy", "max"), Objective("macs", "min")]
CONSTRAINTS = [Constraint("macs", "<=", 1e9)]


def opened(directory: Path, seed: int, *, resume: bool) -> tuple[Ledger, float]:
    """The ledger, and the seconds until it was there."""
    space = get("mobilenet", task=ImageClassification(32, 3, 10))
    goals = [str(o) for o in OBJECTIVES], [str(c) for c in CONSTRAINTS]
    identity = Identity(space.to_json(), space.digest, "weights", "data", *goals, "NSGA2()", seed, BATCH)
    began = time.perf_counter()
    book = Ledger(space, identity, OBJECTIVES, CONSTRAINTS, device="cpu", directory=directory, resume=resume)
    return book, time.perf_counter() - began


def fill(directory: Path, trials: int, seed: int) -> float:
    """Write so many trials of random architectures; returns milliseconds a trial."""
    rng = np.random.default_rng(seed)
    book, _ = opened(directory, seed, resume=False)
    space = get("mobilenet", task=ImageClassification(32, 3, 10))
    archs = list(dict.fromkeys(space.architectures(space.sample_choices(rng, 2 * trials))))[:trials]
    costs = space.costs(archs)
    began = time.perf_counter()
    for i, arch in enumerate(archs):
        metrics = {"accuracy": float(rng.random()), "loss": float(rng.random())}
        metrics |= {name: float(costs[name][i]) for name in ("params", "macs")}
        asked = [a.digest for a in archs[i : i + BATCH]] if i % BATCH == 0 else None
        book.add(arch, metrics, batch=i // BATCH, seconds=0.01, asked=asked)
    spent = time.perf_counter() - began
    book.close()
    return spent / len(archs) * 1e3


def measure(trials: int, repetition: int) -> None:
    """One ledger, written, read, and opened to go on."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        written = fill(directory, trials, repetition)
        began = time.perf_counter()
        count = len(ledger.read(directory).entries)
        read_s = time.perf_counter() - began
        book, resume_s = opened(directory, repetition, resume=True)
        assert count == len(book) == trials
        book.close()
        size = (directory / ledger.JOURNAL).stat().st_size
    values = {"read_s": read_s, "resume_s": resume_s, "write_ms_a_trial": written, "journal_mb": size / 1e6}
    rows.append(NAME, {"trials": trials, "repetition": repetition}, values)
    print({name: round(value, 3) for name, value in values.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args()
    for repetition in range(3):
        measure(options.trials, repetition)


if __name__ == "__main__":
    main()
