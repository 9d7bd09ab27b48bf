from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calling import nas

SHORT = ("--epochs", 2, "--trials", 24, "--batch", 8, "--device", "cpu")
TASK = ("--space", "mobilenet", "--data", "digits")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short search; tests must not change it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    outcome = nas("search", *TASK, *SHORT, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder to damage and to write to."""
    return shutil.copytree(finished, tmp_path / "run")
