"""Code of another checkout, run in a process of its own: what comparisons of two revisions have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"
LONGEST_S = 1800  # of one process
_CHECK = "import nas, sys; sys.exit(0 if nas.__file__.startswith(sys.argv[1]) else nas.__file__)"


class ProcessFailed(Exception):
    """A process ended with an error; the text is its last lines on standard error."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder that holds the package's sources.

    Args:
        path: The folder, absolute.
        threads: Of each process.
        environment: More variables for each process.
    """

    path: Path
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    def python(self, *words: str | Path, cwd: Path, package: bool = True) -> str:
        """Run Python with these words; the package that it imports is this checkout's.

        Args:
            words: After `python`.
            cwd: Where to run.
            package: False leaves the checkout out, for what has to run without it.

        Returns:
            What it printed.

        Raises:
            ProcessFailed: It ended with an error.
        """
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
        env |= {"OMP_NUM_THREADS": str(self.threads), **self.environment}
        if package:
            env["PYTHONPATH"] = str(self.path)
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()[-3:]
            raise ProcessFailed(f"exit status {done.returncode}: {' | '.join(lines)}")
        return done.stdout

    def nas(self, *words: str | Path, cwd: Path) -> dict[str, Any]:
        """The JSON document of one command of `nas`.

        Raises:
            ProcessFailed: It ended with an error.
        """
        document: dict[str, Any] = json.loads(self.python("-m", "nas.cli", *words, "--json", cwd=cwd))
        return document

    def check(self, cwd: Path) -> None:
        """Make sure that it is this checkout's package that runs.

        Raises:
            ProcessFailed: It is another one.
        """
        self.python("-c", _CHECK, self.path, cwd=cwd)

    def code(self) -> str:
        """What identifies the package's sources, as `rows.code` has it."""
        dirty = self._git("status", "--porcelain", "nas") not in ("", UNKNOWN)
        return self._git("rev-parse", "HEAD:nas") + ("-dirty" if dirty else "")

    def commit(self) -> str:
        """The commit, for people."""
        return self._git("describe", "--always", "--dirty")

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.path, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else UNKNOWN


def checkout(path: Path, *, threads: int = 1, environment: Mapping[str, str] | None = None) -> Checkout:
    """The checkout in a folder.

    Raises:
        SystemExit: There is no package in it.
    """
    if not (path / "nas" / "__init__.py").is_file():
        raise SystemExit(f"{path}: no checkout of the package; give a folder with nas/ in it")
    return Checkout(path.resolve(), threads, environment or {})


def chosen(names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Those of `names` that begin with one of `wanted`; all where nothing is wanted.

    Raises:
        SystemExit: A wanted one is the beginning of none.
    """
    for word in wanted or ():
        if not any(name.startswith(word) for name in names):
            raise SystemExit(f"--only {word}: there is no such item; there are {', '.join(names)}")
    return [name for name in names if not wanted or any(name.startswith(word) for word in wanted)]
