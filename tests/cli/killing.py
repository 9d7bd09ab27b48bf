"""Kills `nas search` again and again: python -m tests.cli.killing SUPERNET OUT, prints one JSON document.

Everything is loaded once and each driver is a fork, so that ten starts cost little.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

from nas import ledger
from nas.cli.main import run
from nas.errors import StudyError
from nas.evaluation.population.evaluator import SupernetEvaluator
from nas.study import Study

KILLS, SEED = 10, 0
LOADED = (SupernetEvaluator, Study)


def driver(words: list[str]) -> int:
    """Start one driver; returns its process id."""
    process = os.fork()
    if process == 0:
        _drive(words)
    return process


def _drive(words: list[str]) -> NoReturn:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os._exit(run(words))


def ended(seconds: float) -> bool:
    """Wait so long, or until a driver has ended."""
    return signal.sigtimedwait([signal.SIGCHLD], seconds) is not None


def killed(words: list[str], journal: Path, size: int, later: float) -> bool:
    """Kill a driver `later` seconds after its journal has so many bytes; False where it ended by itself."""
    process, done = driver(words), False
    while not done and (not journal.exists() or journal.stat().st_size < size):
        done = ended(1e-3)
    done = done or ended(later)
    if not done:
        os.kill(process, signal.SIGKILL)
        ended(60)
    os.waitpid(process, 0)
    return not done


def recorded(directory: Path) -> list[str]:
    """The digests of the finished trials; none where the driver was killed before the ledger was complete."""
    try:
        return [trial.arch.digest for trial in ledger.read(directory).trials]
    except StudyError:
        return []


def main(supernet: str, out: Path) -> None:
    """One undisturbed search, then one that is killed ten times and then left to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    words = ["search", "--supernet", supernet, "--trials", "60", "--batch", "4", "--device", "cpu", "--resume"]
    codes = []
    codes.append(os.waitstatus_to_exitcode(os.waitpid(driver([*words, "--out", str(out / "whole")]), 0)[1]))
    ended(60)
    rng = np.random.default_rng(SEED)
    journal = out / "killed" / ledger.JOURNAL
    size = (out / "whole" / ledger.JOURNAL).stat().st_size
    words += ["--out", str(journal.parent)]
    kills, kept = 0, []
    for target in sorted(rng.integers(1, int(0.9 * size), size=KILLS).tolist()):
        kills += killed(words, journal, target, float(rng.uniform(0, 0.05)))
        kept.append(recorded(journal.parent))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(driver(words), 0)[1]))
    print(json.dumps({"codes": codes, "kills": kills, "kept": kept}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
