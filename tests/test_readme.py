"""What the README says can be done can be done."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from nas.cli.main import app, check_names
from nas.search_spaces import get
from nas.task import ImageClassification

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, flags=re.DOTALL)
LINES = [line.strip() for language, block in BLOCKS if language == "" for line in block.splitlines() if line.strip()]
COMMANDS = [line for line in LINES if line.startswith("nas ")]
TARGETS = sorted({line.split()[1] for line in LINES if line.startswith("make ")})
SNIPPETS = [block for language, block in BLOCKS if language == "python"]


def test_there_is_something_to_check() -> None:
    assert len(COMMANDS) >= 5
    assert {"search", "test"} <= set(TARGETS)
    assert SNIPPETS


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    _, name, *words = shlex.split(line, comments=True)
    group = typer.main.get_group(app)
    check_names(group, [name, *words])
    group.commands[name].make_context(f"nas {name}", words)  # raises on an unknown or malformed option


def test_a_wrong_command_would_be_noticed() -> None:
    group = typer.main.get_group(app)
    with pytest.raises(typer.TyperException):
        group.commands["search"].make_context("nas search", ["--trials", "many"])


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_python_example_runs(snippet: str, tmp_path: Path) -> None:
    quick = re.sub(r"trials=\d+", "trials=40", re.sub(r"epochs=\d+", "epochs=1", snippet))
    assert quick != snippet, "nothing to shorten: is this still the training example?"
    result = subprocess.run(
        [sys.executable, "-c", quick], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "test_accuracy" in result.stdout


def test_every_linked_file_exists() -> None:
    for path in DOCUMENTS:
        links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
        missing = [link for link in links if not (path.parent / link).exists()]
        assert not missing, f"{path.name}: {missing}"


def test_the_sizes_are_exact() -> None:
    tiny = get("mobilenet", task=ImageClassification(8, 1, 10))
    assert f"supernet of {tiny.size:,} networks" in TEXT
    full = get("mobilenet", task=ImageClassification(224, 3, 1000), preset="ofa")
    assert f"{full.size:.1e}".replace("e+", "e") + " members" in TEXT
