"""What commands share: options, output, the device, and errors in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.errors import NasError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else there.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Same seed, same result; default: 0.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda or cuda:N; default: cuda where there is one.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]  # acted on by `main`
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A run's folder, as 'nas search' or 'nas train' wrote it.")
]
Data = Annotated[
    str | None,
    typer.Option("--data", help="digits, mnist:FILE.npz, cifar10:PATH, folder:DIR, npz:FILE; text:FILE for flexibert."),
]
RunData = Annotated[str | None, typer.Option("--data", help="Where the run's data set is now, if it has moved.")]
Arch = Annotated[
    str,
    typer.Option("--arch", help="best, knee, largest, smallest, a digest (or how it begins), or a JSON FILE."),
]
ArchOrNone = Annotated[  # the same where there may be nothing to choose from
    str | None,
    typer.Option(
        "--arch", help="best, knee, largest, smallest, a digest (or how it begins), or a JSON FILE; default: best."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write; the default is printed.")]

WRONG_USE, FAILURE, INTERRUPTED, TERMINATED = 2, 1, 130, 143


def emit(document: Mapping[str, Any], *, as_json: bool, human: Sequence[RenderableType]) -> None:
    """Print a command's result.

    Args:
        document: The result; numbers must be finite.
        as_json: Whether to print the document alone.
        human: What people get instead: text, tables.
    """
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(soft_wrap=True)
    for part in human:
        console.print(part, highlight=False, markup=False)


def say(text: str) -> None:
    """One line of news for people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def described(error: Exception) -> tuple[str, int]:
    """An error as one line, and the exit status it means."""
    if isinstance(error, typer.TyperException):
        text, code = error.format_message(), WRONG_USE
    elif isinstance(error, NasError):
        text, code = str(error), WRONG_USE if isinstance(error, UsageError) else FAILURE
    elif isinstance(error, OSError):
        text, code = f"{error.filename or 'input or output'}: {error.strerror or error}", FAILURE
    else:
        text = f"internal error, please report it with what --debug shows: {type(error).__name__}: {error}"
        code = FAILURE
    return " ".join(text.split()), code
