from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.table import Table

from nas.errors import UsageError, WriteError
from nas.objectives import METRICS, SCORES, Constraint, Objective
from nas.reports import search as report
from nas.searchers import Trial
from tests.searching import SPACE, pool

ARCHS = SPACE.architectures(pool())
ACCURACY, MACS, LATENCY = Objective("accuracy", "max"), Objective("macs", "min"), Objective("latency_ms", "min")
GOALS = (ACCURACY, MACS)


def trial(number: int, accuracy: float | None, macs: float = 0.0, **more: float) -> Trial:
    metrics = {} if accuracy is None else {"accuracy": accuracy, "macs": macs, **more}
    return Trial(number, ARCHS[number], metrics, number // 4)


def trials_of(rows: Sequence[tuple[float | None, ...]]) -> list[Trial]:
    return [
        trial(i, row[0], *row[1:2], **({"latency_ms": row[2]} if len(row) > 2 else {})) for i, row in enumerate(rows)
    ]  # type: ignore[arg-type]


SMALL = st.integers(0, 4).map(float)
ROWS = st.lists(st.tuples(st.none() | SMALL, SMALL, SMALL), max_size=24)


def dominates(a: Trial, b: Trial, goals: Sequence[Objective]) -> bool:
    pairs = [(g.as_minimised(a.metrics[g.metric]), g.as_minimised(b.metrics[g.metric])) for g in goals]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


class TestSelection:
    def test_what_a_race_stopped_is_on_no_front(self) -> None:
        trials = [trial(0, 3.0, 2.0), trial(1, 4.0, 1.0, partial_images=500.0), trial(2, 2.0, 1.0)]
        assert report.front(trials, GOALS) == [trials[2], trials[0]]
        assert report.best(trials, GOALS) is trials[0]

    @given(ROWS, st.sampled_from([(ACCURACY,), (MACS,), GOALS, (MACS, ACCURACY), (ACCURACY, MACS, LATENCY)]), SMALL)
    def test_the_front_by_its_definition(
        self, rows: list[tuple[float | None, ...]], goals: tuple[Objective, ...], bound: float
    ) -> None:
        trials = trials_of(rows)
        members = report.front(trials, goals, [Constraint("latency_ms", "<=", bound)])
        able = [t for t in trials if t.metrics and t.metrics["latency_ms"] <= bound]
        expected = list[Trial]()
        for t in able:
            values = [t.metrics[g.metric] for g in goals]
            twin = any([e.metrics[g.metric] for g in goals] == values for e in expected)
            if not twin and not any(dominates(other, t, goals) for other in able):
                expected.append(t)
        assert sorted(members, key=lambda t: t.number) == expected
        by = next((g for g in goals if g.direction == "min"), goals[0])
        costs = [by.as_minimised(t.metrics[by.metric]) for t in members]
        assert costs == sorted(costs)

    @given(ROWS)
    def test_the_best_is_on_the_front(self, rows: list[tuple[float | None, ...]]) -> None:
        trials = trials_of(rows)
        best, members = report.best(trials, GOALS), report.front(trials, GOALS)
        if best is None:
            assert members == []
            assert all(not t.metrics for t in trials)
        else:
            assert best == members[-1]
            assert best.metrics["accuracy"] == max(t.metrics["accuracy"] for t in trials if t.metrics)

    def test_ties_of_the_best_go_to_the_cheaper_then_to_the_earlier(self) -> None:
        assert report.best(trials_of([(0.9, 5.0), (0.9, 3.0), (0.9, 3.0), (0.8, 1.0)]), GOALS) == trial(1, 0.9, 3.0)

    def test_constraints_of_both_senses(self) -> None:
        trials = trials_of([(0.5, 1.0), (0.7, 2.0), (0.9, 3.0)])
        bounds = [Constraint("accuracy", ">=", 0.6), Constraint("macs", "<=", 2.0)]
        assert report.feasible(trials, bounds) == [trials[1]]
        assert report.best(trials, GOALS, bounds) == trials[1]

    def test_the_knee_is_farthest_from_the_chord(self) -> None:
        trials = trials_of([(0.5, 1.0), (0.88, 2.0), (0.9, 3.0), (0.92, 9.0)])
        assert report.knee(trials, GOALS) == trials[1]
        assert report.knee(trials[:1], GOALS) == trials[0]
        assert report.knee([], GOALS) is None

    def test_the_knee_of_scores_over_many_powers_of_ten_is_that_of_their_logarithms(self) -> None:
        rows = [(1e1, 1.0), (1e9, 2.0), (1e10, 8.0), (1e13, 9.0)]
        assert report.knee(trials_of(rows), GOALS) == trials_of(rows)[1]


class TestDocument:
    def test_what_a_program_reads(self) -> None:
        trials = trials_of([(0.5, 1.0), (None, 0.0), (0.88, 2.0), (0.7, 2.5), (0.92, 9.0)])
        bound = Constraint("macs", "<=", 8.0)
        document = report.search_document(trials, GOALS, [bound], out=Path("results/run"), wall_s=1.5, new=2)
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        member = {"digest": ARCHS[0].digest, "arch": ARCHS[0].to_json(), "metrics": {"accuracy": 0.5, "macs": 1.0}}
        assert document["front"][0] == member
        assert [m["digest"] for m in document["front"]] == [ARCHS[0].digest, ARCHS[2].digest]
        assert document["best"]["digest"] == ARCHS[2].digest
        assert document["knee"]["digest"] in {m["digest"] for m in document["front"]}
        rest = {key: value for key, value in document.items() if key not in ("front", "best", "knee")}
        assert rest == {
            "trials": 5, "new": 2, "failed": 1, "stopped": 0, "feasible": 3, "exhausted": False,
            "objectives": ["max:accuracy", "min:macs"], "constraints": ["macs<=8"], "out": str(Path("results/run")),
            "wall_s": 1.5,
        }  # fmt: skip

    def test_nothing_found(self) -> None:
        document = report.search_document(trials_of([(None,)]), GOALS, out=None, wall_s=0.0)
        assert (document["front"], document["best"], document["knee"], document["out"]) == ([], None, None, None)


EVERY_MEASURE = tuple(Objective(m, d) for m, d in METRICS.items() if m not in SCORES)
SCORED = (Objective("gradsign", "max"),)


def rendered(table: Table, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue().splitlines()


def realistic(n: int, **more: float) -> list[Trial]:
    """A front of `n` members among as many trials again that each is better than."""
    out = []
    for i in range(n):
        cost = 1e5 * 1.3**i
        facts = {"test_accuracy": 0.5 + 0.4 * i / n, "params": cost / 9, "latency_ms": 0.3 + i / 7, **more}
        out.append(trial(2 * i, 0.51 + 0.4 * i / n, cost, **facts))
        out.append(trial(2 * i + 1, 0.49 + 0.4 * i / n, cost, **facts))
    return out


class TestTable:
    @pytest.mark.parametrize("goals", [GOALS, EVERY_MEASURE, (*SCORED, MACS)])
    def test_it_fits_80_columns_with_every_cell_whole(self, goals: tuple[Objective, ...]) -> None:
        scores = {objective.metric: 1_234_567.0 for objective in SCORED}
        trials = realistic(30, loss=0.123456, peak_mem_bytes=123_456_789.0, **(scores if SCORED[0] in goals else {}))
        lines = rendered(report.front_table(trials, goals))
        assert max(map(len, lines)) <= 80
        assert not [line for line in lines if "…" in line]
        members = report.front(trials, goals)
        shown = [line.split()[0] for line in lines if line.split()[0] in {t.arch.digest for t in trials}]
        assert shown == [t.arch.digest for t in members]

    def test_one_member_is_best_and_knee(self) -> None:
        lines = rendered(report.front_table(realistic(1, loss=0.1, peak_mem_bytes=2e9), (ACCURACY, MACS, LATENCY)))
        assert lines[-1].split() == [
            ARCHS[0].digest, "51.00", "50.00", "11.1k", "100k", "0.3000", "best,", "knee",
        ]  # fmt: skip

    def test_columns_and_marks(self) -> None:
        trials = realistic(12, loss=0.3)
        lines = rendered(report.front_table(trials, GOALS, [Constraint("macs", "<=", 1e6)]))
        text = "\n".join(lines)
        assert "Pareto front, 9 members" in text
        assert "macs<=1000000" in text
        header = next(line for line in lines if line.startswith("digest"))
        assert header.split() == ["digest", "acc.", "%", "test", "%", "params", "macs", "ms"]  # loss is no goal
        marked = {line.split()[-1]: line.split()[0] for line in lines if line.split()[-1] in ("best", "knee")}
        members = report.front(trials, GOALS, [Constraint("macs", "<=", 1e6)])
        knee = report.knee(members, GOALS)
        assert knee is not None
        assert marked == {"best": members[-1].arch.digest, "knee": knee.arch.digest}

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 99])
    def test_a_limit_keeps_best_and_knee(self, limit: int) -> None:
        trials = realistic(30)
        members = report.front(trials, GOALS)
        knee = report.knee(members, GOALS)
        lines = rendered(report.front_table(trials, GOALS, limit=limit))
        shown = [t.arch.digest for t in members if any(line.startswith(t.arch.digest) for line in lines)]
        assert knee is not None
        assert {members[-1].arch.digest, knee.arch.digest} <= set(shown)
        assert len(shown) <= max(limit, 2)
        assert (f"{len(shown)} of 30 members" in lines[0]) == (len(shown) < 30)

    def test_an_empty_front_is_an_empty_table(self) -> None:
        assert "Pareto front, 0 members" in rendered(report.front_table([], GOALS))[0]

    @pytest.mark.parametrize(
        ("metric", "value", "text"),
        [
            ("accuracy", 0.97234, "97.23"), ("test_accuracy", 1.0, "100.00"), ("params", 812, "812"),
            ("params", 999.4, "999"), ("params", 999.6, "1.00k"), ("macs", 812_345, "812k"), ("macs", 999_600, "1.00M"),
            ("macs", 3_020_000, "3.02M"), ("macs", 45e6, "45.0M"), ("macs", 2.5e9, "2.50G"), ("loss", 0.51, "0.5100"),
            ("latency_ms", 12.3456, "12.35"), ("latency_ms", 1234.0, "1234"), ("peak_mem_bytes", 0.0, "0"),
        ],
    )  # fmt: skip
    def test_numbers_for_people(self, metric: str, value: float, text: str) -> None:
        assert report.human(metric, value) == text


class TestPicture:
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
    def test_what_the_axes_show(self, goals: tuple[Objective, ...], axes: tuple[Objective, Objective]) -> None:
        assert report.axes_of(goals) == axes

    @pytest.mark.parametrize("goals", [GOALS, (ACCURACY,), (MACS,), (ACCURACY, MACS, LATENCY), (LATENCY, MACS)])
    def test_a_png_with_ink_and_nothing_else_in_the_folder(self, goals: tuple[Objective, ...], tmp_path: Path) -> None:
        trials = [*realistic(20), trial(60, None)]
        report.draw_front(trials, report.front(trials, goals), goals, tmp_path / "front.png")
        assert [path.name for path in tmp_path.iterdir()] == ["front.png"]
        with Image.open(tmp_path / "front.png") as image:
            colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
        assert {(0xD6, 0x27, 0x28), (0xB8, 0xB8, 0xB8)} <= colours  # best, trials

    def test_an_svg_with_its_words(self, tmp_path: Path) -> None:
        trials = realistic(20)
        report.draw_front(trials, report.front(trials, GOALS), GOALS, tmp_path / "front.svg")
        text = (tmp_path / "front.svg").read_text()
        assert ET.fromstring(text).tag.endswith("svg")
        for words in ("validation accuracy (%), higher is better", "multiply-adds an image, lower is better",
                      "40 trials", "front (20)", "best: ", "knee: "):  # fmt: skip
            assert f"<!-- {words}" in text

    def test_the_line_is_the_step_under_which_the_front_is(self) -> None:
        from matplotlib.figure import Figure

        trials = [trial(0, 0.5, 1e6), trial(1, 0.6, 3e6), trial(2, 0.55, 2e6), trial(3, 0.52, 2.5e6)]
        axes = Figure().add_subplot()
        report._draw(axes, trials, report.front(trials, GOALS), MACS, ACCURACY)
        (line,) = axes.lines
        assert line.get_drawstyle() == "steps-post"
        np.testing.assert_allclose(line.get_xydata(), [[1e6, 50], [2e6, 55], [3e6, 60]])

    def test_axes_of_many_powers_of_ten_are_logarithmic(self) -> None:
        from matplotlib.figure import Figure

        trials = [trial(0, 1e1, 1e6), trial(1, 1e9, 3e6)]
        axes = Figure().add_subplot()
        report._draw(axes, trials, report.front(trials, GOALS), MACS, ACCURACY)
        assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")

    @pytest.mark.parametrize(
        "trials", [[], [trial(0, None)], [trial(0, 0.5, 1e6)], [trial(i, 0.5, 1e6) for i in (0, 1)]]
    )
    def test_few_trials(self, trials: list[Trial], tmp_path: Path) -> None:
        report.draw_front(trials, report.front(trials, GOALS), GOALS, tmp_path / "front.png")
        assert (tmp_path / "front.png").stat().st_size > 1000

    def test_another_suffix_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"drawn as \.png or \.svg, got 'front.pdf'"):
            report.draw_front([], [], GOALS, tmp_path / "front.pdf")

    def test_a_drawing_that_fails_leaves_the_old_picture(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from matplotlib.figure import Figure

        def fails(self: Figure, path: Path, **options: object) -> None:
            Path(path).write_bytes(b"half")
            raise OSError("disk full")

        (tmp_path / "front.png").write_bytes(b"old")
        monkeypatch.setattr(Figure, "savefig", fails)
        with pytest.raises(WriteError, match="disk full"):
            report.draw_front(realistic(3), realistic(3), GOALS, tmp_path / "front.png")
        assert (tmp_path / "front.png").read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 1

    def test_pyplot_is_never_loaded(self, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom pathlib import Path\nfrom nas.reports import search as report\n"
            "from tests.reports.test_search import GOALS, realistic\n"
            "report.draw_front(realistic(3), realistic(3), GOALS, Path(sys.argv[1]) / 'a.png')\n"
            "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
        )
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parent.parent, timeout=120
        )


def test_every_metric_has_a_label_and_a_column() -> None:
    for metric in itertools.chain(METRICS, ["test_accuracy"]):
        assert metric in report._LABELS
        assert metric in report._COLUMNS
