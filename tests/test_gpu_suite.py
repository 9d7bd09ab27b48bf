"""What of the checks for a GPU can run without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from benchmarks import gpu_suite
from nas.search_spaces import get
from nas.supernets import network
from nas.task import ImageClassification


def test_its_gradsign_counts_are_those_of_the_library() -> None:
    space = get("nasbench201", task=ImageClassification(16, 3, 10), preset="tiny")
    model = network(space, space.largest(), seed=0)
    x, y = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    shares = gpu_suite.flipped_by_rounding(model, x, y)
    assert shares.keys() == {"fp64", "together", "alone"}
    assert shares["fp64"] == 0
    assert max(shares.values()) < 0.01


def test_its_gradsign_check_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    monkeypatch.setattr(gpu_suite.rows, "append", lambda name, key, values, device: kept.append((key, values)))
    gpu_suite.gradsign_pass("cpu", samples=4, preset="tiny")
    ((key, values),) = kept
    assert (key["what"], key["samples"]) == ("gradsign", 4)
    assert values["ratio"] > 0
