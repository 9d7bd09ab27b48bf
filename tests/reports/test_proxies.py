from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.errors import UsageError
from nas.evaluation.metrics import DECLARED
from nas.objectives import Metric
from nas.proxies import agreement
from nas.reports.proxies import agreement_table, draw_scatter, scores_table
from nas.task import ACCURACY
from tests.reports.trials import rendered

RNG = np.random.default_rng(0)
TRUTH, PARAMS = RNG.uniform(0.5, 0.9, 120), RNG.uniform(1e4, 1e6, 120)
SCORES = {"good": TRUTH + RNG.normal(0, 0.02, 120), "params": PARAMS, "broken": np.where(TRUTH > 0.6, np.nan, TRUTH)}
SECONDS = dict.fromkeys(SCORES, 0.01)
AGREEMENTS = {name: agreement(scores, TRUTH, PARAMS) for name, scores in SCORES.items()}


def test_the_best_comes_first_with_what_it_finds_in_percent() -> None:
    lines = rendered(agreement_table(AGREEMENTS, SECONDS, 120, metrics=DECLARED, truth=ACCURACY))
    assert max(map(len, lines)) <= 80
    assert "120 networks" in lines[0]
    (heading,) = (number for number, line in enumerate(lines) if "best/100 %" in line)
    best = lines[heading + 2].split()
    assert best[0] == "good"
    assert float(best[1]) > 0.9
    assert 70 < float(best[5]) < 90
    (broken,) = (line.split() for line in lines if line.startswith("broken"))
    assert int(broken[-1]) == int((TRUTH > 0.6).sum())


def test_without_accuracies_ranges_are_shown() -> None:
    own = {"good": Metric("good", "max", column="our own")}
    lines = rendered(scores_table(SCORES, PARAMS, SECONDS, metrics=own))
    assert max(map(len, lines)) <= 80
    assert lines[2].startswith("our own")
    (params,) = (line.split() for line in lines if line.startswith("params"))
    assert params[4] == "1.000"
    empty = scores_table({"none": np.full(120, np.nan)}, PARAMS, {"none": 0.0}, metrics={})
    assert rendered(empty)[-1].split()[1:4] == ["-", "-", "-"]


def test_the_picture_appears_complete(tmp_path: Path) -> None:
    draw_scatter(SCORES, TRUTH, AGREEMENTS, tmp_path / "proxies.png", metrics={}, truth=ACCURACY)
    assert [path.name for path in tmp_path.iterdir()] == ["proxies.png"]
    with Image.open(tmp_path / "proxies.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10
    with pytest.raises(UsageError, match="drawn as"):
        draw_scatter(SCORES, TRUTH, AGREEMENTS, tmp_path / "proxies.pdf", metrics={}, truth=ACCURACY)
