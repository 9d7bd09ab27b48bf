"""What all tests share: few threads, and memory that shows where nobody wrote it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

# Before torch is loaded: small networks lose more to threads than they gain, and tests share their machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import numpy as np
import pytest

TASK = ("--space", "mobilenet", "--data", "digits")
SHORT = ("--epochs", 2, "--trials", 24, "--batch", 8, "--device", "cpu")

# A shell that starts the tests in the background has them ignore Ctrl-C, and all processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


# So that what breaks a promise of a contract is shown with its values, as in tests.
pytest.register_assert_rewrite("nas.testing")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short search; tests must not change it."""
    from tests.cli.calling import nas  # here: most tests need no command line

    out = tmp_path_factory.mktemp("runs") / "run"
    outcome = nas("search", *TASK, *SHORT, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder to damage and to write to."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def poisoned_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill what `torch.empty` and `torch.empty_like` return with NaN, so that reading it unwritten cannot pass."""
    import torch

    def poisoned(create: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> torch.Tensor:
            tensor = create(*args, **kwargs)
            return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

        return wrapper

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poisoned(getattr(torch, name)))
