from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InfeasibleBudget
from nas.objectives import Constraint
from nas.search_spaces import Indices, MobileNetSpace, get
from nas.search_spaces.feasible import FeasibleSet
from nas.search_spaces.mobilenet.space import StageSpec
from nas.search_spaces.trellis import Edge, Trellis
from tests.search_spaces.enumeration import members
from tests.spaces import BASE, space

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
METRICS = st.sampled_from(["params", "macs"])

# Elastic widths and depths, squeeze-excitation, two resolutions: 2 * (2*(4 + 16)) * (2*(2+4+8)) = 2,240 members.
ELASTIC = space(
    replace(
        BASE,
        stages=(
            StageSpec((8, 12), (1, 2), (3, 5), (2, 3), 1, "relu", squeeze=False),
            StageSpec((12, 16), (1, 2, 3), (3, 5), (3,), 2, "hswish", squeeze=True),
        ),
    )
)
# One width and depths with a gap: 3 * (9 + 729).
GAP = space(
    replace(
        BASE,
        resolutions=(5, 6, 8),
        stages=(StageSpec((8,), (1, 3), (3, 5, 7), (2, 3, 4), 1, "relu", squeeze=True),),
    )
)
SPACES = {"elastic": ELASTIC, "gap": GAP}


@cache
def everything(kind: str) -> tuple[Indices, dict[str, np.ndarray]]:
    rows = members(SPACES[kind])
    return rows, SPACES[kind].costs_of(rows)


def ofa() -> MobileNetSpace:
    return get("mobilenet", input_size=224, in_channels=3, num_classes=1000, preset="ofa")  # type: ignore[return-value]


@pytest.mark.parametrize("kind", SPACES)
def test_without_budgets_all_members_count(kind: str) -> None:
    rows, _ = everything(kind)
    for constraints in ([], [Constraint("latency_ms", "<=", 0.0), Constraint("accuracy", ">=", 2.0)]):
        assert SPACES[kind].feasible(constraints).count == len(rows)


@PROPERTY
@given(st.sampled_from(sorted(SPACES)), METRICS, st.integers(0, 10**6), st.sampled_from([-1, 0, 1, 0.5]))
def test_counts_equal_brute_force(kind: str, metric: str, at: int, nudge: float) -> None:
    _, costs = everything(kind)
    values = costs[metric]
    bound = float(values[at % len(values)]) + nudge
    below, above = int((values <= bound).sum()), int((values >= bound).sum())
    for sense, expected in (("<=", below), (">=", above)):
        constraint = Constraint(metric, "<=" if sense == "<=" else ">=", bound)
        if expected:
            assert SPACES[kind].feasible([constraint]).count == expected
        else:
            with pytest.raises(InfeasibleBudget):
                SPACES[kind].feasible([constraint])


@PROPERTY
@given(st.sampled_from(sorted(SPACES)), METRICS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_sided_budgets_are_exact(kind: str, metric: str, a: int, b: int) -> None:
    _, costs = everything(kind)
    values = costs[metric]
    low, high = sorted((int(values[a % len(values)]), int(values[b % len(values)])))
    budgets = [Constraint(metric, ">=", low), Constraint(metric, "<=", high), Constraint(metric, "<=", high + 5.0)]
    feasible = SPACES[kind].feasible(budgets)
    assert feasible.count == ((values >= low) & (values <= high)).sum()
    drawn = SPACES[kind].costs_of(feasible.sample(np.random.default_rng(a), 20))[metric]
    assert ((drawn >= low) & (drawn <= high)).all()


def chi_square(rows: Indices, allowed: Indices) -> float:
    """Standardised chi-square statistic against the uniform distribution; every row must be allowed."""
    numbers = {tuple(row): i for i, row in enumerate(allowed.tolist())}
    counts = np.bincount([numbers[tuple(row)] for row in rows.tolist()], minlength=len(allowed))
    expected = len(rows) / len(allowed)
    statistic, freedom = float(((counts - expected) ** 2 / expected).sum()), len(allowed) - 1
    return (statistic - freedom) / math.sqrt(2 * max(freedom, 1))


BUDGETS: dict[str, list[tuple[str, str, float]]] = {
    "free": [],
    "macs": [("macs", "<=", 0.3)],
    "params": [("params", "<=", 0.5)],
    "at least": [("macs", ">=", 0.6)],
    "between": [("params", ">=", 0.4), ("params", "<=", 0.6)],
    "both": [("params", "<=", 0.5), ("macs", "<=", 0.4)],
    "opposed": [("params", ">=", 0.5), ("macs", "<=", 0.4)],
}


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_samples_are_uniform(kind: str, budget: str) -> None:
    rows, costs = everything(kind)
    allowed, constraints = np.ones(len(rows), dtype=bool), []
    for metric, sense, quantile in BUDGETS[budget]:
        constraint = Constraint(metric, "<=" if sense == "<=" else ">=", float(np.quantile(costs[metric], quantile)))
        constraints.append(constraint)
        allowed &= np.array([constraint.violation(value) == 0 for value in costs[metric].tolist()])
    assert allowed.sum() > 20
    feasible = SPACES[kind].feasible(constraints)
    drawn = feasible.sample(np.random.default_rng(5), int(allowed.sum()) * 12)
    assert abs(chi_square(drawn, rows[allowed])) < 4
    # Rows are in no order: the first half is as uniform as the whole.
    assert abs(chi_square(drawn[: len(drawn) // 2], rows[allowed])) < 4


@pytest.mark.parametrize(("pairs", "segment"), [(1, 64), (1, 4), (300, 4), (1, 10**9), (10**6, 2)])
@pytest.mark.parametrize("safe", [2**62, 1])
def test_every_way_of_cutting_gives_the_same(
    pairs: int, segment: int, safe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dense middles, many small segments and Python integers are for big spaces; here brute force can check them."""
    monkeypatch.setattr("nas.search_spaces.counting.PAIRS", pairs)
    monkeypatch.setattr("nas.search_spaces.graph.SEGMENT", segment)
    monkeypatch.setattr("nas.search_spaces.tables.SAFE", safe)
    monkeypatch.setattr("nas.search_spaces.counting.SAFE", safe)
    monkeypatch.setattr("nas.search_spaces.counting.BLOCK", 7)
    monkeypatch.setattr("nas.search_spaces.dense.STRIP", 50)
    rows, costs = everything("elastic")
    for metric in ("params", "macs"):
        for quantile, draws in ((0.0, 5), (0.1, 2500), (0.97, 20)):
            bound = float(np.quantile(costs[metric], quantile))
            allowed = costs[metric] <= bound
            feasible = ELASTIC.feasible([Constraint(metric, "<=", bound)])
            assert feasible.count == allowed.sum()
            drawn = feasible.sample(np.random.default_rng(1), draws)
            assert abs(chi_square(drawn, rows[allowed])) < 4 or draws < 100
            above = ELASTIC.feasible([Constraint(metric, ">=", bound + 1), Constraint(metric, "<=", 10**9)])
            assert above.count == len(rows) - allowed.sum()
            assert (ELASTIC.costs_of(above.sample(np.random.default_rng(1), 20))[metric] > bound).all()


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize("metric", ["params", "macs"])
def test_an_impossible_budget_names_what_is_reachable(kind: str, metric: str) -> None:
    rows, costs = everything(kind)
    smallest, largest = int(costs[metric].min()), int(costs[metric].max())
    other = Constraint("macs" if metric == "params" else "params", "<=", 1e12)
    with pytest.raises(InfeasibleBudget, match=f"smallest reachable value is {smallest:,}"):
        SPACES[kind].feasible([other, Constraint(metric, "<=", smallest - 0.5)])
    with pytest.raises(InfeasibleBudget, match=f"largest reachable value is {largest:,}"):
        SPACES[kind].feasible([Constraint(metric, ">=", largest + 1), other])
    for sense, bound in (("<=", smallest), (">=", largest)):
        feasible = SPACES[kind].feasible([Constraint(metric, "<=" if sense == "<=" else ">=", bound)])
        at = {tuple(row) for row in rows[costs[metric] == bound].tolist()}
        assert feasible.count == len(at)
        assert {tuple(row) for row in feasible.sample(np.random.default_rng(0), 200).tolist()} == at


def test_bounds_that_exclude_each_other_are_impossible() -> None:
    _, costs = everything("gap")
    values = np.unique(costs["macs"])
    at = int(np.argmax(np.diff(values)))
    hole = [Constraint("macs", ">=", values[at] + 0.5), Constraint("macs", "<=", values[at + 1] - 0.5)]
    with pytest.raises(InfeasibleBudget, match="together with the other bounds"):
        GAP.feasible(hole)
    opposed = [Constraint("macs", ">=", values[-1]), Constraint("params", "<=", costs["params"].min())]
    with pytest.raises(InfeasibleBudget, match="together"):
        GAP.feasible(opposed).sample(np.random.default_rng(0), 1)
    apart = [Constraint("macs", "<=", values[0]), Constraint("macs", ">=", values[-1])]
    with pytest.raises(InfeasibleBudget, match="together"):
        GAP.feasible(apart)


def diamond(pairs: list[tuple[int, int]]) -> list[Trellis]:
    """Two members per pair of (params, macs): one decision that costs this, one that costs nothing to tell apart."""
    edges = tuple(Edge(0, 0, ((0, i),), *pair) for i, pair in enumerate(pairs))
    return [Trellis((edges, (Edge(0, 0, ((1, 0),), 0, 0), Edge(0, 0, ((1, 1),), 0, 0))), (), 3, 4)]


def test_budgets_that_no_member_meets_together_give_up() -> None:
    trellises = diamond([(10, 1), (1, 10), (10, 10)])
    feasible = FeasibleSet(trellises, [Constraint("params", "<=", 4), Constraint("macs", "<=", 5)], 2)
    assert feasible.count == 2
    with pytest.raises(InfeasibleBudget, match="together with the other bounds"):
        feasible.sample(np.random.default_rng(0), 1)


def test_the_tightest_of_several_budgets_is_counted() -> None:
    trellises = diamond([(1, 1), (2, 2), (3, 3), (4, 9)])
    feasible = FeasibleSet(trellises, [Constraint("params", "<=", 6), Constraint("macs", "<=", 6)], 2)
    assert feasible.count == 4
    assert set(feasible.sample(np.random.default_rng(0), 60)[:, 0].tolist()) == {0, 1}


def test_counts_beyond_64_bits_are_exact() -> None:
    """A chain of 90 free choices of two, one of which costs 1: binomial sums by hand."""
    layer = lambda d: (Edge(0, 0, ((d, 0),), 0, 0), Edge(0, 0, ((d, 1),), 1, 0))
    trellis = Trellis(tuple(layer(d) for d in range(90)), (), 0, 0)
    for most in (0, 1, 30, 45, 89, 90):
        feasible = FeasibleSet([trellis], [Constraint("params", "<=", most)], 90)
        assert feasible.count == sum(math.comb(90, k) for k in range(most + 1))
        sums = feasible.sample(np.random.default_rng(2), 300).sum(axis=1)
        assert sums.max() <= most
        chances = np.array([math.comb(90, k) / feasible.count for k in range(most + 1)])
        mean = float((chances * np.arange(most + 1)).sum())
        spread = math.sqrt(float((chances * (np.arange(most + 1) - mean) ** 2).sum()) / 300)
        assert abs(sums.mean() - mean) <= 4 * spread


def test_dead_ends_and_unreachable_states_are_no_paths() -> None:
    layers = (
        (Edge(0, 0, ((0, 0),), 5, 0), Edge(0, 1, ((0, 1),), 1, 0), Edge(7, 0, ((0, 2),), 0, 0)),
        (Edge(0, 0, ((1, 0),), 1, 0), Edge(0, 0, ((1, 1),), 2, 0), Edge(3, 0, ((1, 2),), 0, 0)),
    )
    feasible = FeasibleSet([Trellis(layers, (), 0, 0)], [Constraint("params", "<=", 7)], 2)
    assert feasible.count == 2
    with pytest.raises(InfeasibleBudget, match="smallest reachable value is 6"):
        FeasibleSet([Trellis(layers, (), 0, 0)], [Constraint("params", "<=", 5)], 2)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_any_number_of_rows(n: int) -> None:
    median = float(np.median(everything("elastic")[1]["macs"]))
    for constraints in ([], [Constraint("macs", "<=", median)], [Constraint(m, "<=", 1e5) for m in ("macs", "params")]):
        rows = ELASTIC.feasible(constraints).sample(np.random.default_rng(0), n)
        assert rows.shape == (n, len(ELASTIC.genes))
        assert rows.dtype == np.int16


def test_ofa_complements_add_up() -> None:
    """Far from what can be listed: <= b and >= b + 1 together are the space, and samples lie inside."""
    big = ofa()
    rng = np.random.default_rng(0)
    free = big.feasible().sample(rng, 400)
    bound = int(np.median(big.costs_of(free)["params"]))
    below = big.feasible([Constraint("params", "<=", bound)])
    above = big.feasible([Constraint("params", ">=", bound + 1)])
    assert below.count + above.count == big.size
    assert 0.4 < below.count / big.size < 0.6
    assert (big.costs_of(below.sample(rng, 50))["params"] <= bound).all()
    assert (big.costs_of(above.sample(rng, 50))["params"] > bound).all()
