"""The program `nas`: its commands, its exit status, and errors in one line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from nas import __version__
from nas.cli.common import INTERRUPTED, TERMINATED, described, say
from nas.cli.evaluate import evaluate
from nas.cli.export import export
from nas.cli.finetune import finetune
from nas.cli.profile import profile
from nas.cli.proxies import proxies
from nas.cli.search import search
from nas.cli.spaces import spaces
from nas.cli.train import train
from nas.cli.trials import trials
from nas.errors import UnknownName
from nas.evaluation.population.malloc import keep_freed_memory

COMMANDS = (spaces, train, search, evaluate, finetune, export, profile, proxies, trials)

app = typer.Typer(
    help="Train one supernet once, find the sub-network that fits each device, export a plain checkpoint.",
    epilog="The whole job on real data: nas search --space mobilenet --data digits",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"nas {__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process.

    Args:
        argv: The words after `nas`; None takes the process's.

    Raises:
        SystemExit: 0 done, 1 failure, 2 wrong use, 130 interrupted, 143 terminated.
    """
    # Before torch is loaded: threads that spin while they wait for each other starve beside any other process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    terminated = False

    def terminate(*_: object) -> None:  # what job managers send ends like Ctrl-C
        nonlocal terminated
        terminated = True
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, terminate)
    code = run(words)
    sys.exit(TERMINATED if terminated and code == INTERRUPTED else code)


def run(words: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    group = typer.main.get_group(app)
    try:
        check_names(group, words)
        outcome = group.main(list(words), prog_name="nas", standalone_mode=False)
        code = outcome if isinstance(outcome, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        text, code = described(error)
        say(f"error: {text}")
    if code == INTERRUPTED:
        kept = "finished trials and the last checkpoint of a training are kept, --resume goes on from there"
        say(f"interrupted; {kept if _resumes(group, words) else 'nothing was kept'}")
    return code


def _resumes(group: TyperGroup, words: Sequence[str]) -> bool:
    command = next((group.commands[word] for word in words if word in group.commands), None)
    return command is not None and any("--resume" in param.opts for param in command.params)


def check_names(group: TyperGroup, words: Sequence[str]) -> None:
    """Refuse a command or long option that does not exist.

    Raises:
        UnknownName: Names the nearest valid one.
    """
    at = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    _check_options("nas", group, words[:at])
    if at == len(words):
        return
    if words[at] not in group.commands:
        raise UnknownName("command", words[at], group.commands)
    _check_options(f"nas {words[at]}", group.commands[words[at]], words[at + 1 :])


def _check_options(name: str, of: object, words: Sequence[str]) -> None:
    params = getattr(of, "params", [])
    known = {"--help", *(option for param in params for option in param.opts if option.startswith("--"))}
    for word in words:
        option = word.partition("=")[0]
        if option == "--":
            return
        if option.startswith("--") and option not in known:
            raise UnknownName(f"option of '{name}'", option, known)
