from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.errors import UsageError, WriteError
from nas.evaluation.metrics import DECLARED
from nas.objectives import Metric, Objective
from nas.reports import front_picture as module
from nas.reports import selection
from nas.reports.front_picture import axes_of
from nas.searchers import Trial
from tests.reports.trials import ACCURACY, GOALS, LATENCY, MACS, realistic, trial

draw_front = partial(module.draw_front, metrics=DECLARED)
front_figure = partial(module.front_figure, metrics=DECLARED)


@pytest.mark.parametrize(
    ("goals", "axes"),
    [
        (GOALS, (MACS, ACCURACY)),
        ((MACS, ACCURACY), (MACS, ACCURACY)),
        ((ACCURACY,), (MACS, ACCURACY)),
        ((MACS,), (Objective("params", "min"), MACS)),
        ((ACCURACY, LATENCY, MACS), (LATENCY, ACCURACY)),
        ((LATENCY, MACS), (MACS, LATENCY)),
        ((ACCURACY, Objective("params", "max")), (Objective("params", "max"), ACCURACY)),
    ],
)
def test_what_the_axes_show(goals: tuple[Objective, ...], axes: tuple[Objective, Objective]) -> None:
    assert axes_of(goals) == axes


@pytest.mark.parametrize("goals", [GOALS, (ACCURACY,), (MACS,), (ACCURACY, MACS, LATENCY), (LATENCY, MACS)])
def test_a_png_with_ink_and_nothing_else_in_the_folder(goals: tuple[Objective, ...], tmp_path: Path) -> None:
    trials = [*realistic(20), trial(60, None)]
    draw_front(trials, selection.front(trials, goals), goals, tmp_path / "front.png")
    assert [path.name for path in tmp_path.iterdir()] == ["front.png"]
    with Image.open(tmp_path / "front.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert {(0xD6, 0x27, 0x28), (0xB8, 0xB8, 0xB8)} <= colours  # best, trials


def test_an_svg_with_its_words(tmp_path: Path) -> None:
    trials = realistic(20)
    draw_front(trials, selection.front(trials, GOALS), GOALS, tmp_path / "front.svg")
    text = (tmp_path / "front.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    for words in ("validation accuracy (%), higher is better", "multiply-adds an input, lower is better",
                  "40 trials", "front (20)", "best: ", "knee: "):  # fmt: skip
        assert f"<!-- {words}" in text


def test_the_line_is_the_step_under_which_the_front_is() -> None:
    trials = [trial(0, 0.5, 1e6), trial(1, 0.6, 3e6), trial(2, 0.55, 2e6), trial(3, 0.52, 2.5e6)]
    (axes,) = front_figure(trials, selection.front(trials, GOALS), GOALS).axes
    (line,) = axes.lines
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xydata(), [[1e6, 50], [2e6, 55], [3e6, 60]])


def test_axes_of_many_powers_of_ten_are_logarithmic() -> None:
    trials = [trial(0, 1e1, 1e6), trial(1, 1e9, 3e6)]
    (axes,) = front_figure(trials, selection.front(trials, GOALS), GOALS).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")


def test_labels_units_and_factors_are_those_of_the_metrics() -> None:
    trials = [trial(i, 0.5, 1e6, speed=2.0 + i) for i in range(3)]
    speed, own = Metric("speed", "max", label="frames", unit="1/h", factor=3600.0), Objective("speed", "max")
    for metrics, words, values in (({"speed": speed}, "frames (1/h)", [7200, 10800, 14400]), ({}, "speed", [2, 3, 4])):
        (axes,) = module.front_figure(trials, trials[2:], [own], metrics=metrics).axes
        assert axes.get_ylabel() == f"{words}, higher is better"
        assert axes.collections[0].get_offsets()[:, 1].tolist() == values


@pytest.mark.parametrize("trials", [[], [trial(0, None)], [trial(0, 0.5, 1e6)], [trial(i, 0.5, 1e6) for i in (0, 1)]])
def test_few_trials(trials: list[Trial], tmp_path: Path) -> None:
    draw_front(trials, selection.front(trials, GOALS), GOALS, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 1000


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"drawn as \.png or \.svg, got 'front.pdf'"):
        draw_front([], [], GOALS, tmp_path / "front.pdf")


def test_a_drawing_that_fails_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def fails(self: Figure, path: Path, **options: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    (tmp_path / "front.png").write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(WriteError, match="disk full"):
        draw_front(realistic(3), realistic(3), GOALS, tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_pyplot_is_never_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from nas.reports.front_picture import draw_front\n"
        "from tests.reports.trials import GOALS, realistic\n"
        "draw_front(realistic(3), realistic(3), GOALS, Path(sys.argv[1]) / 'a.png', metrics={})\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[2], timeout=120)
