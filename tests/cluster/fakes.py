"""Evaluators for workers of a pool, without torch so that they start soon; what they did is in files of a folder."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import DataError, UsageError
from nas.evaluation import Metrics
from nas.search_spaces import Architecture


def metrics_of(arch: Architecture) -> Metrics:
    return {"accuracy": int(arch.digest, 16) / 16**16}


@dataclass
class Fake:
    """Metrics from digests; trouble for the named ones."""

    folder: Path
    cost_s: float = 0.0
    most: int | None = None  # more architectures than that are out of memory
    deadly: frozenset[str] = frozenset()
    hungry: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    misused: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        digests = [arch.digest for arch in archs]
        with (self.folder / f"calls-{os.getpid()}").open("a") as file:
            file.write(" ".join(digests) + "\n")
        if self.deadly.intersection(digests):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.hungry.intersection(digests) or (self.most is not None and len(archs) > self.most):
            raise MemoryError(f"no room for {len(archs)}")
        if self.refused.intersection(digests):
            raise DataError("refused, in one line")
        if self.misused.intersection(digests):
            raise UsageError("misused, in one line")
        if self.broken.intersection(digests):
            raise ValueError("a fault in the program")
        time.sleep(self.cost_s * len(archs))
        return [metrics_of(arch) for arch in archs]


def build_fake(folder: str, words: dict[str, object]) -> Fake:
    """In a worker; notes its process."""
    (Path(folder) / f"worker-{os.getpid()}").touch()
    return Fake(Path(folder), **words)  # type: ignore[arg-type]


def build_refused(folder: str) -> Fake:
    (Path(folder) / f"worker-{os.getpid()}").touch()
    raise DataError("nothing to build it from")


def build_misused() -> Fake:
    raise UsageError("not like this")


def build_broken() -> Fake:
    raise ZeroDivisionError("a fault in the program")


def build_deadly(folder: str) -> Fake:
    (Path(folder) / f"worker-{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def calls(folder: Path) -> list[list[str]]:
    """The digests of every call, of all workers."""
    return [line.split() for path in folder.glob("calls-*") for line in path.read_text().splitlines()]


def workers(folder: Path) -> list[int]:
    """Process ids of all workers that have begun to build, those that died too."""
    return [int(path.name.removeprefix("worker-")) for path in folder.glob("worker-*")]
