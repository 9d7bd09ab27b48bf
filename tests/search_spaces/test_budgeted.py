from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InfeasibleBudget
from nas.objectives import Constraint
from nas.search_spaces import CostTerm, Gene, Indices, MobileNetSpace, SearchSpace, get
from nas.search_spaces.budgeted import BucketCounts, Budget, FeasibleSet
from nas.search_spaces.decision_diagram import DecisionDiagram
from nas.search_spaces.mobilenet.config import StageSpec
from nas.task import ImageClassification
from nas.testing.spaces import MadeSpace, members, nested
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
SPACES: dict[str, SearchSpace] = {"elastic": ELASTIC, "gap": GAP, "nested": nested()}


@cache
def everything(kind: str) -> tuple[Indices, dict[str, np.ndarray]]:
    rows = members(SPACES[kind])
    return rows, SPACES[kind].costs_of(rows)


def ofa() -> MobileNetSpace:
    return get("mobilenet", task=ImageClassification(224, 3, 1000), preset="ofa")  # type: ignore[return-value]


@PROPERTY
@given(st.sampled_from(sorted(SPACES)), METRICS, st.integers(0, 10**6), st.sampled_from([-1, 0, 1, 0.5]))
def test_a_bound_anywhere_is_met_or_impossible(kind: str, metric: str, at: int, nudge: float) -> None:
    _, costs = everything(kind)
    values = costs[metric]
    bound = float(values[at % len(values)]) + nudge
    for sense, fits in (("<=", values <= bound), (">=", values >= bound)):
        constraint = Constraint(metric, "<=" if sense == "<=" else ">=", bound)
        if not fits.any():
            with pytest.raises(InfeasibleBudget):
                SPACES[kind].feasible([constraint])
            continue
        drawn = SPACES[kind].costs_of(SPACES[kind].feasible([constraint]).sample(np.random.default_rng(at), 20))
        assert all(constraint.violation(value) == 0 for value in drawn[metric].tolist())


@PROPERTY
@given(st.sampled_from(sorted(SPACES)), METRICS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_sided_budgets_are_met(kind: str, metric: str, a: int, b: int) -> None:
    _, costs = everything(kind)
    values = costs[metric]
    low, high = sorted((int(values[a % len(values)]), int(values[b % len(values)])))
    budgets = [Constraint(metric, ">=", low), Constraint(metric, "<=", high), Constraint(metric, "<=", high + 5.0)]
    drawn = SPACES[kind].costs_of(SPACES[kind].feasible(budgets).sample(np.random.default_rng(a), 20))[metric]
    assert ((drawn >= low) & (drawn <= high)).all()


@pytest.mark.parametrize("buckets", [3, 50, 10**6])
@pytest.mark.parametrize("metric", ["params", "macs"])
def test_rounding_keeps_every_member_and_fine_buckets_keep_no_other(
    buckets: int, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.search_spaces.budgeted.BUCKETS", buckets)
    _, costs = everything("elastic")
    values, diagram = costs[metric], DecisionDiagram(ELASTIC.genes, ELASTIC.cost_terms)
    low, high = (int(np.quantile(values, quantile)) for quantile in (0.3, 0.6))
    for budget in (
        Budget(metric, None, high, ()), Budget(metric, low, None, ()), Budget(metric, low, high, ()),
    ):  # fmt: skip
        counted, exact = round(2 ** BucketCounts(diagram, budget).log2_members), budget.holds(values).sum()
        assert counted == exact if buckets == 10**6 else exact < counted <= len(values)


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
    assert allowed.sum() > 2
    feasible = SPACES[kind].feasible(constraints)
    drawn = feasible.sample(np.random.default_rng(5), max(600, int(allowed.sum()) * 12))
    assert abs(chi_square(drawn, rows[allowed])) < 4
    # Rows are in no order: the first half is as uniform as the whole.
    assert abs(chi_square(drawn[: len(drawn) // 2], rows[allowed])) < 4


@pytest.mark.parametrize("kind", ["elastic", "nested"])
@pytest.mark.parametrize("buckets", [1, 9])
@pytest.mark.parametrize("sense", ["<=", ">="])
def test_coarse_buckets_are_as_uniform(kind: str, buckets: int, sense: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then many draws lie outside the budget; in small spaces with fine buckets none would."""
    monkeypatch.setattr("nas.search_spaces.budgeted.BUCKETS", buckets)
    rows, costs = everything(kind)
    bound = Constraint("macs", "<=" if sense == "<=" else ">=", float(np.quantile(costs["macs"], 0.4)))
    allowed = np.array([bound.violation(value) == 0 for value in costs["macs"].tolist()])
    space = SPACES[kind]
    feasible = FeasibleSet(DecisionDiagram(space.genes, space.cost_terms), space.costs_of, [bound])
    rng = np.random.default_rng(3)
    assert 0.1 < feasible.holds(feasible.propose(rng, 1000)).mean() < 0.99
    assert abs(chi_square(feasible.sample(rng, int(allowed.sum()) * 12), rows[allowed])) < 4


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
        GAP.feasible(opposed)
    apart = [Constraint("macs", "<=", values[0]), Constraint("macs", ">=", values[-1])]
    with pytest.raises(InfeasibleBudget, match="together"):
        GAP.feasible(apart)


def diamond(pairs: list[tuple[int, int]]) -> MadeSpace:
    """Two members per pair of (params, macs): one decision that costs this, one that costs nothing to tell apart."""
    genes = (Gene("pair", tuple(range(len(pairs))), "pair"), Gene("twin", (0, 1), "twin"))
    return MadeSpace(genes, [CostTerm(("pair",), np.array([*pairs, (0, 0)])), CostTerm((), np.array([3, 4]))])


def test_budgets_that_no_member_meets_together_give_up() -> None:
    with pytest.raises(InfeasibleBudget, match="together with the other bounds"):
        diamond([(10, 1), (1, 10), (10, 10)]).feasible([Constraint("params", "<=", 4), Constraint("macs", "<=", 5)])


def test_of_several_budgets_the_tightest_is_counted() -> None:
    space = diamond([(1, 1), (2, 2), (3, 3), (4, 9)])
    both = space.feasible([Constraint("params", "<=", 6), Constraint("macs", "<=", 6)])
    assert set(both.propose(np.random.default_rng(0), 60)[:, 0].tolist()) == {0, 1}
    assert set(both.sample(np.random.default_rng(0), 60)[:, 0].tolist()) == {0, 1}


@pytest.mark.parametrize("length", [90, 1100])
def test_chances_follow_counts_beyond_64_bits_and_beyond_floats(length: int) -> None:
    """A chain of free choices of two, one of which costs 1: binomial sums by hand."""
    genes = [Gene(f"x{d}", (0, 1), "bit") for d in range(length)]
    space = MadeSpace(genes, [CostTerm((gene.name,), np.array([(0, 0), (1, 0), (0, 0)])) for gene in genes])
    for most in (0, 1, 30, 45, 89, 90) if length == 90 else (length // 3,):
        sums = space.feasible([Constraint("params", "<=", most)]).sample(np.random.default_rng(2), 300).sum(axis=1)
        assert sums.max() <= most
        ways = [math.comb(length, k) for k in range(most + 1)]
        chances = np.array([way / sum(ways) for way in ways])
        mean = float((chances * np.arange(most + 1)).sum())
        spread = math.sqrt(float((chances * (np.arange(most + 1) - mean) ** 2).sum()) / 300)
        assert abs(sums.mean() - mean) <= 4 * spread


@pytest.mark.parametrize("n", [0, 1, 3])
def test_any_number_of_rows(n: int) -> None:
    median = float(np.median(everything("elastic")[1]["macs"]))
    for constraints in ([], [Constraint("macs", "<=", median)], [Constraint(m, "<=", 1e5) for m in ("macs", "params")]):
        rows = ELASTIC.feasible(constraints).sample(np.random.default_rng(0), n)
        assert rows.shape == (n, len(ELASTIC.genes))
        assert rows.dtype == np.int16


@pytest.mark.parametrize("metric", ["params", "macs"])
def test_a_big_space_keeps_its_proportions_inside_a_budget(metric: str) -> None:
    """Far from what can be listed: draws inside are like free draws that happen to lie inside, and few are rejected."""
    big, rng = ofa(), np.random.default_rng(0)
    free = big.feasible().sample(rng, 4000)
    costs = big.costs_of(free)[metric]
    for sense, quantile in (("<=", 0.3), (">=", 0.7)):
        budget = Constraint(metric, "<=" if sense == "<=" else ">=", int(np.quantile(costs, quantile)))
        feasible = big.feasible([budget])
        proposed = feasible.propose(rng, 2000)
        assert feasible.holds(proposed).mean() > 0.97
        drawn, expected = feasible.sample(rng, 2000), free[feasible.holds(free)]
        assert feasible.holds(drawn).all()
        error = np.sqrt(expected.var(axis=0) * (1 / len(drawn) + 1 / len(expected))) + 1e-9
        assert (np.abs(drawn.mean(axis=0) - expected.mean(axis=0)) < 4.5 * error).all()


def test_the_biggest_preset_is_ready_at_once_and_stays_small() -> None:
    """The published figures are those of benchmarks/costs.py; this keeps them from slipping by a factor."""
    big = get("mobilenet", task=ImageClassification(224, 3, 1000), preset="bignas")
    median = int(np.median(big.costs_of(big.feasible().sample(np.random.default_rng(0), 500))["macs"]))
    tracemalloc.start()
    big.feasible([Constraint("macs", "<=", median), Constraint("params", "<=", 1e12)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
