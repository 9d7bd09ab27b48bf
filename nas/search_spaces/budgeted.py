"""Uniform members inside additive budgets, by counting in buckets and rejecting the few beyond the budget.

Costs along the paths of a decision diagram are rounded down to buckets, and a dynamic program counts for every state
how many ways on have which sum of buckets. A draw picks a sum inside the budget in proportion to the number of members
that have it, and then edge by edge, each in proportion to the ways on that complete the sum. Every member is one path
with one sum, so all members whose rounded cost fits are equally likely. These are the feasible ones and a few that
rounding let in; rejecting the latter by their exact costs leaves the feasible ones, equally likely.

Counts are float64: exact below 2**53, and beyond, since they are sums without a subtraction, with a relative error of
some 1e-16 an addition, far below what any number of draws could show. Where they would overflow, all counts at a
boundary are scaled by one power of two, which keeps their proportions. Only in spaces of more than 2**900 members may
the smallest then vanish, beside others more than 1e300 times as large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import InfeasibleBudget
from nas.objectives import Constraint
from nas.search_spaces.cost_terms import METRICS
from nas.search_spaces.decision_diagram import DecisionDiagram, Integers, Layer, remaining
from nas.search_spaces.gene import ABSENT, Indices

BUCKETS = 4096  # over the costs from the smallest to the budget
BATCH = 4096  # draws that are made and checked together
TRIES = 100_000  # draws in a row outside the budgets after which sampling gives up
HUGE = 2.0**900  # counts above this are scaled
NEVER = 2**62  # more than any sum
Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """lowest <= metric <= highest; None: not bounded there."""

    metric: str
    lowest: int | None
    highest: int | None
    constraints: tuple[Constraint, ...]

    def holds(self, values: Integers) -> NDArray[np.bool_]:
        """[N]: which of these costs fit."""
        inside = np.ones(len(values), dtype=bool)
        if self.lowest is not None:
            inside &= values >= self.lowest
        if self.highest is not None:
            inside &= values <= self.highest
        return inside

    def check(self, smallest: int, largest: int) -> None:
        """Refuse a bound that lies beyond all members, or bounds that exclude each other.

        Raises:
            InfeasibleBudget: Names the smallest (largest) reachable value.
        """
        if self.highest is not None and self.highest < smallest:
            raise InfeasibleBudget(self.metric, self._bound("<=").bound, smallest)
        if self.lowest is not None and self.lowest > largest:
            raise InfeasibleBudget(self.metric, self._bound(">=").bound, largest, sense=">=")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise self.error()

    def error(self) -> InfeasibleBudget:
        """Each bound can be met, but not with the others."""
        last = self.constraints[-1]
        return InfeasibleBudget(last.metric, last.bound, None, sense=last.sense)

    def _bound(self, sense: str) -> Constraint:
        """The tightest constraint of this sense."""
        own = [c for c in self.constraints if c.sense == sense]
        return min(own, key=lambda c: c.bound) if sense == "<=" else max(own, key=lambda c: c.bound)


def budgets_of(constraints: Sequence[Constraint]) -> list[Budget]:
    """One budget for each additive metric that is bounded."""
    out = []
    for metric in METRICS:
        own = tuple(c for c in constraints if c.metric == metric)
        if own:
            lowest = max((math.ceil(c.bound) for c in own if c.sense == ">="), default=None)
            highest = min((math.floor(c.bound) for c in own if c.sense == "<="), default=None)
            out.append(Budget(metric, lowest, highest, own))
    return out


@final
class FeasibleSet:
    """The members of a space inside budgets on "params" and "macs", to be sampled uniformly.

    With budgets on both metrics, the one that fewer members meet is counted, and draws outside the other are rejected.
    Constraints on metrics that are measured are not looked at.

    Args:
        diagram: The space with its costs; without budgets one without costs is faster.
        costs_of: Exact costs of rows of choice positions.
        constraints: The bounds.

    Raises:
        InfeasibleBudget: No member fits; names the smallest (for ">=": largest) reachable value. Where only the
            combination of several bounds is impossible, or met by less than one of 100,000 draws, it names none.
    """

    def __init__(
        self,
        diagram: DecisionDiagram,
        costs_of: Callable[[Indices], dict[str, Integers]],
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._costs_of = costs_of
        self._genes = diagram.dimensions
        self._budgets = budgets_of(constraints)
        for budget in self._budgets:
            budget.check(*diagram.reach(budget.metric))
        counts = [BucketCounts(diagram, budget) for budget in self._budgets] or [BucketCounts(diagram, None)]
        self._counts = min(counts, key=lambda each: each.log2_members)
        if self._counts.log2_members == -math.inf:
            raise self._budgets[-1].error()
        if len(self._budgets) > 1 or any(b.lowest is not None and b.highest is not None for b in self._budgets):
            self.sample(np.random.default_rng(0), 1)  # whether the bounds can be met together shows in drawing

    def sample(self, rng: np.random.Generator, n: int) -> Indices:
        """[n, D] choice positions, -1 where a gene does not exist; uniform and independent.

        Args:
            rng: Source of the draws.
            n: Number of rows.

        Raises:
            InfeasibleBudget: None of many draws met all bounds together.
        """
        parts, missing, outside = [np.empty((0, self._genes), dtype=np.int16)], n, 0
        while missing:
            spare = 8 + missing // 8 if self._budgets else 0
            rows = self.propose(rng, BATCH if outside else min(BATCH, missing + spare))
            fitting = rows[self.holds(rows)][:missing]
            outside = 0 if len(fitting) else outside + len(rows)
            if outside >= TRIES:
                raise self._budgets[-1].error()
            parts.append(fitting)
            missing -= len(fitting)
        return np.concatenate(parts)

    def propose(self, rng: np.random.Generator, n: int) -> Indices:
        """[n, D] draws before rejection: uniform among the members whose rounded cost fits."""
        return self._counts.draw(rng, n)

    def holds(self, rows: Indices) -> NDArray[np.bool_]:
        """[N]: which rows meet all budgets."""
        inside = np.ones(len(rows), dtype=bool)
        if self._budgets:
            costs = self._costs_of(rows)
            for budget in self._budgets:
                inside &= budget.holds(costs[budget.metric])
        return inside


@final
class BucketCounts:
    """How many ways on have which rounded cost, for every state of a diagram.

    Costs are taken relative to the cheapest way on, so that none is negative, edges that cannot be afforded drop out,
    and the buckets cover the reachable costs up to the budget alone. With only a lower bound everything is turned
    around: what an edge saves against the dearest way on is what adds up.

    Args:
        diagram: The space.
        budget: What the members must cost, within the reach of the diagram; None: everything is a member.
    """

    def __init__(self, diagram: DecisionDiagram, budget: Budget | None) -> None:
        self._genes, self._layers = diagram.dimensions, diagram.layers
        costs, slack, least = _relative(diagram, budget)
        grain = math.gcd(*(int(np.gcd.reduce(cost)) for cost in costs)) or 1
        width = grain * -(-(slack // grain + 1) // BUCKETS)
        buckets = [cost // width for cost in costs]
        most_lost = int(remaining(self._layers, [cost % width for cost in costs], np.maximum)[0][0])
        self._first, last = max(0, -(-(least - most_lost) // width)), slack // width
        self._tables, exponent = self._counted(buckets, last)
        self._options = [_options(layer, cost) for layer, cost in zip(self._layers, buckets, strict=True)]
        self._totals = self._tables[0][0, self._first : last + 1].cumsum()
        members = float(self._totals[-1]) if len(self._totals) else 0.0
        self.log2_members = math.log2(members) + exponent if members else -math.inf

    def _counted(self, buckets: Sequence[Integers], last: int) -> tuple[list[Counts], int]:
        """For each boundary [states, sums], the ways on with this sum; and the power of two that the first lacks."""
        most = [int(sums.max()) for sums in remaining(self._layers, buckets, np.maximum)]
        tables, exponent = [np.ones((1, 1))], 0
        for layer, cost, largest in zip(self._layers[::-1], buckets[::-1], most[-2::-1], strict=True):
            after, size = tables[-1], min(largest, last) + 1
            table = np.zeros((layer.states, size))
            for source, target, shift in zip(layer.source.tolist(), layer.target.tolist(), cost.tolist(), strict=True):
                if shift < size:
                    part = after[target, : size - shift]
                    table[source, shift : shift + len(part)] += part
            scale = math.frexp(float(table.max()))[1] if table.max() > HUGE else 0
            tables.append(np.ldexp(table, -scale) if scale else table)
            exponent += scale
        return tables[::-1], exponent

    def draw(self, rng: np.random.Generator, n: int) -> Indices:
        """[n, D] choice positions, uniform among the members whose rounded cost fits; there must be one."""
        rows = np.full((n, self._genes), ABSENT, dtype=np.int16)
        left = self._first + np.searchsorted(self._totals, rng.random(n) * self._totals[-1], side="right")
        state, everyone = np.zeros(n, dtype=np.int64), np.arange(n)
        for layer, options, after in zip(self._layers, self._options, self._tables[1:], strict=True):
            rest = left[:, None] - options.cost[state]
            possible = (rest >= 0) & (rest < after.shape[1])
            weights = np.where(possible, after[options.target[state], np.where(possible, rest, 0)], 0.0).cumsum(axis=1)
            picked = (weights <= (rng.random(n) * weights[:, -1])[:, None]).sum(axis=1)
            rows[:, layer.genes] = layer.choices[options.edge[state, picked]]
            left, state = rest[everyone, picked], options.target[state, picked]
        return rows


@dataclass(frozen=True, slots=True)
class _Options:
    """The edges from each state side by side: [states, most edges of one]; what is too much costs more than all."""

    edge: Integers
    target: Integers
    cost: Integers


def _options(layer: Layer, cost: Integers) -> _Options:
    """The edges of a layer by state.

    Args:
        layer: The layer.
        cost: [E], their rounded costs.
    """
    place = (layer.source, np.arange(len(layer.source)) - layer.first[layer.source])
    edge, target, costs = (np.zeros((layer.states, int(place[1].max()) + 1), dtype=np.int64) for _ in range(3))
    costs[:] = NEVER
    edge[place], target[place], costs[place] = np.arange(len(cost)), layer.target, cost
    return _Options(edge, target, costs)


def _relative(diagram: DecisionDiagram, budget: Budget | None) -> tuple[list[Integers], int, int]:
    """For each layer, [E], what an edge costs beyond the cheapest way on; the most and the least that a path may."""
    layers = diagram.layers
    if budget is None:
        return [np.zeros(len(layer.source), dtype=np.int64) for layer in layers], 0, 0
    sign, column = -1 if budget.highest is None else 1, METRICS.index(budget.metric)
    costs = [sign * layer.costs[:, column] for layer in layers]
    cheapest = remaining(layers, costs, np.minimum)
    extra = [
        cost + after[layer.target] - before[layer.source]
        for layer, cost, before, after in zip(layers, costs, cheapest[:-1], cheapest[1:], strict=True)
    ]
    start = sign * int(diagram.base[column]) + int(cheapest[0][0])
    bounds = [sign * bound - start for bound in (budget.highest, budget.lowest) if bound is not None]
    most = int(remaining(layers, extra, np.maximum)[0][0])
    return extra, min(bounds[0], most), bounds[1] if len(bounds) > 1 else 0
