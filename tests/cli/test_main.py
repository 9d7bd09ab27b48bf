from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys

import pytest
import typer

import nas as package
from nas.cli.common import described
from nas.cli.main import COMMANDS, app, check_names
from nas.errors import DataError, InfeasibleBudget, UnknownName, UsageError
from tests.cli.calling import nas, one_line

main_module = importlib.import_module("nas.cli.main")  # the package's attribute of this name is the function
NAMES = [command.__name__ for command in COMMANDS]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_is_documented(name: str) -> None:
    outcome = nas(name, "--help")
    assert outcome.code == 0
    command = typer.main.get_group(app).commands[name]
    assert command.help
    undocumented = [param.name for param in command.params if not param.help]
    assert not undocumented


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_the_shared_options(name: str) -> None:
    options = {option for param in typer.main.get_group(app).commands[name].params for option in param.opts}
    assert {"--json", "--seed", "--device", "--debug"} <= options


def test_every_command_has_a_file_of_its_own() -> None:
    assert [inspect.getmodule(command).__name__ for command in COMMANDS] == [f"nas.cli.{name}" for name in NAMES]


def test_without_words_the_help_is_shown() -> None:
    result = subprocess.run([sys.executable, "-m", "nas.cli"], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "search" in result.stdout


def test_version() -> None:
    assert nas("--version").out == f"nas {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["serch"], "Did you mean 'search'?"),
        (["search", "--trails", "5"], "Did you mean '--trials'?"),
        (["search", "--trails=5"], "Did you mean '--trials'?"),
        (["--versoin"], "Did you mean '--version'?"),
        (["search", "--trials", "many"], "--trials"),
        (["search", "--trials", "0"], "--trials"),
        (["search", "--trials"], "--trials"),
        (["search", "--seed", "-1"], "--seed"),
        (["evaluate"], "DIR"),
        (["spaces", "extra"], "extra"),
        (["search", "--data", "digits"], "--space is missing"),
        (["train", "--space", "mobilenet"], "--data is missing"),
    ],
)
def test_wrong_use_is_one_line_and_2(words: list[str], hint: str) -> None:
    outcome = nas(*words)
    assert hint in one_line(outcome)
    assert outcome.code == 2


def test_names_after_two_dashes_are_left_alone() -> None:
    check_names(typer.main.get_group(app), ["evaluate", "--", "--folder"])


def failing(error: BaseException) -> typer.Typer:
    failing_app = typer.Typer()

    @failing_app.callback()
    def root() -> None:
        pass

    @failing_app.command()
    def fail(debug: bool = False) -> None:
        raise error

    return failing_app


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("wrong"), 2, "error: wrong"),
        (UnknownName("space", "moblenet", ["mobilenet"]), 2, "Did you mean 'mobilenet'?"),
        (InfeasibleBudget("macs", 1.0, 12345), 1, "12,345"),
        (DataError("two\nlines"), 1, "error: two lines"),
        (FileNotFoundError(2, "No such file or directory", "x.npz"), 1, "error: x.npz: No such file or directory"),
        (ZeroDivisionError("division by zero"), 1, "internal error"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_status_of_errors(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str) -> None:
    monkeypatch.setattr(main_module, "app", failing(error))
    outcome = nas("fail")
    assert outcome.code == code
    assert text in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "app", failing(DataError("broken")))
    assert "Traceback" not in nas("fail").err
    outcome = nas("fail", "--debug")
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("error: broken\n")
    assert outcome.code == 1


def test_described_keeps_the_text_of_nas_errors() -> None:
    assert described(UsageError("a  b\n c")) == ("a b c", 2)


def test_json_is_the_only_thing_on_standard_output() -> None:
    environment = os.environ | {"COLUMNS": "40"}
    result = subprocess.run(
        [sys.executable, "-m", "nas.cli", "spaces", "--json"], capture_output=True, text=True, check=True,
        env=environment,
    )  # fmt: skip
    assert result.stderr == ""
    assert json.loads(result.stdout)["spaces"]
