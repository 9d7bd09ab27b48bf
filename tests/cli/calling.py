"""Running the command line inside this process."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from nas.cli.main import run


@dataclass(frozen=True, slots=True)
class Outcome:
    """Exit status and what was printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


def nas(*words: object) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(word) for word in words])
    return Outcome(code, out.getvalue(), err.getvalue())


def one_line(outcome: Outcome) -> str:
    """The error of a failed call, which must be a single line and nothing else."""
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    return lines[0]
