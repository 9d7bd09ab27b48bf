from __future__ import annotations

from functools import partial

import pytest

from nas.evaluation.metrics import DECLARED, TASK_METRICS
from nas.objectives import Constraint, Objective
from nas.reports import front_table as module
from nas.reports import selection
from nas.search_spaces import COSTS
from tests.reports.trials import ACCURACY, ARCHS, GOALS, LATENCY, MACS, realistic, rendered

front_table = partial(module.front_table, metrics=DECLARED)
EVERY_MEASURE = (*(Objective(m.name, m.direction) for m in (*TASK_METRICS, *COSTS)), LATENCY)
SCORED = (Objective("gradsign", "max"),)


@pytest.mark.parametrize("goals", [GOALS, EVERY_MEASURE, (*SCORED, MACS)])
def test_it_fits_80_columns_with_every_cell_whole(goals: tuple[Objective, ...]) -> None:
    scores = {objective.metric: 1_234_567.0 for objective in SCORED}
    trials = realistic(30, loss=0.123456, my_own_measure=123_456_789.0, **(scores if SCORED[0] in goals else {}))
    lines = rendered(front_table(trials, goals))
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]
    members = selection.front(trials, goals)
    shown = [line.split()[0] for line in lines if line.split()[0] in {t.arch.digest for t in trials}]
    assert shown == [t.arch.digest for t in members]


def test_one_member_is_best_and_knee() -> None:
    lines = rendered(front_table(realistic(1, loss=0.1), (ACCURACY, MACS, LATENCY)))
    assert lines[-1].split() == [
        ARCHS[0].digest, "51.00", "50.00", "11.1k", "100k", "0.3000", "best,", "knee",
    ]  # fmt: skip


def test_columns_and_marks() -> None:
    trials = realistic(12, loss=0.3)
    lines = rendered(front_table(trials, GOALS, [Constraint("macs", "<=", 1e6)]))
    text = "\n".join(lines)
    assert "Pareto front, 9 members" in text
    assert "macs<=1000000" in text
    header = next(line for line in lines if line.startswith("digest"))
    assert header.split() == ["digest", "acc.", "%", "test", "%", "params", "macs", "ms"]  # loss is no goal
    marked = {line.split()[-1]: line.split()[0] for line in lines if line.split()[-1] in ("best", "knee")}
    members = selection.front(trials, GOALS, [Constraint("macs", "<=", 1e6)])
    knee = selection.knee(members, GOALS)
    assert knee is not None
    assert marked == {"best": members[-1].arch.digest, "knee": knee.arch.digest}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 99])
def test_a_limit_keeps_best_and_knee(limit: int) -> None:
    trials = realistic(30)
    members = selection.front(trials, GOALS)
    knee = selection.knee(members, GOALS)
    lines = rendered(front_table(trials, GOALS, limit=limit))
    shown = [t.arch.digest for t in members if any(line.startswith(t.arch.digest) for line in lines)]
    assert knee is not None
    assert {members[-1].arch.digest, knee.arch.digest} <= set(shown)
    assert len(shown) <= max(limit, 2)
    assert (f"{len(shown)} of 30 members" in lines[0]) == (len(shown) < 30)


def test_what_nobody_declared_is_shown_by_its_name_where_there_is_room() -> None:
    header, *rows = rendered(front_table(realistic(2, speed=0.123456), GOALS))[-4:]
    assert header.split()[-2:] == ["ms", "speed"]
    assert all("0.1235" in row.split() for row in rows[1:])
    many = {f"a_measure_with_a_long_name_{i}": 1.0 for i in range(5)}
    own = Objective("a_measure_with_a_long_name_4", "max")
    lines = rendered(front_table(realistic(2, **many), (own, MACS)))
    assert max(map(len, lines)) <= 80
    assert own.metric in "".join(lines)[80:]
    assert "a_measure_with_a_long_name_0" not in "".join(lines)


def test_a_sampled_number_has_its_standard_error() -> None:
    lines = rendered(front_table(realistic(30, accuracy_se=0.0123, test_accuracy_se=0.0345), GOALS))
    assert max(map(len, lines)) <= 80
    assert "accuracy_se" not in "".join(lines)
    assert "51.00 ±1.23" in "".join(lines)
    assert "50.00 ±3.45" in "".join(lines)


def test_details_and_bounds() -> None:
    trials = realistic(2, glue_sst=0.9, loss=0.25)
    assert "sst" not in "".join(rendered(front_table(trials, GOALS)))
    text = "".join(rendered(front_table(trials, GOALS, [Constraint("glue_sst", ">=", 0.5)])))
    assert "90.00" in text


def test_an_empty_front_is_an_empty_table() -> None:
    assert "Pareto front, 0 members" in rendered(front_table([], GOALS))[0]
