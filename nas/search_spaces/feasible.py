"""Members inside additive budgets: exact counts and uniform samples by dynamic programming."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.errors import InfeasibleBudget
from nas.objectives import Constraint
from nas.search_spaces.counting import PathCounter
from nas.search_spaces.graph import COSTS, Graph, build
from nas.search_spaces.segment import groups
from nas.search_spaces.tables import count_type, draw_below
from nas.search_spaces.trellis import Trellis

TRIES = 100_000  # draws in a row outside the looser budgets after which sampling gives up
BATCH = 2_000  # draws that are checked together


@dataclass(frozen=True, slots=True)
class _Budget:
    """lowest <= metric <= highest; None: not bounded there."""

    metric: str
    lowest: int | None
    highest: int | None
    constraints: tuple[Constraint, ...]

    def holds(self, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        inside = np.ones(len(values), dtype=bool)
        if self.lowest is not None:
            inside &= values >= self.lowest
        if self.highest is not None:
            inside &= values <= self.highest
        return inside

    def check(self, graphs: Sequence[Graph]) -> None:
        """Raise InfeasibleBudget where a bound lies beyond all paths."""
        smallest, largest = min(graph.base for graph in graphs), max(graph.largest for graph in graphs)
        for constraint in self.constraints:
            if constraint.sense == "<=" and constraint.bound < smallest:
                raise InfeasibleBudget(constraint.metric, constraint.bound, smallest)
            if constraint.sense == ">=" and constraint.bound > largest:
                raise InfeasibleBudget(constraint.metric, constraint.bound, largest, sense=">=")

    def error(self) -> InfeasibleBudget:
        """Each bound can be met, but not with the others."""
        last = self.constraints[-1]
        return InfeasibleBudget(last.metric, last.bound, None, sense=last.sense)

    def touches(self, graph: Graph) -> bool:
        """Whether the costs of the graph's paths reach into the budget."""
        above = self.lowest is None or graph.largest >= self.lowest
        return above and (self.highest is None or graph.base <= self.highest)

    def counter(self, graph: Graph) -> PathCounter:
        """The paths of a graph, which it touches, inside the budget."""
        low = 0 if self.lowest is None else -(-(self.lowest - graph.base) // graph.step)
        high = graph.farthest if self.highest is None else (self.highest - graph.base) // graph.step
        return PathCounter(graph, low, min(high, graph.farthest))


def _budgets(constraints: Sequence[Constraint]) -> list[_Budget]:
    """One budget for each additive metric that is bounded."""
    out = []
    for metric in COSTS:
        own = tuple(c for c in constraints if c.metric == metric)
        if own:
            lowest = max((math.ceil(c.bound) for c in own if c.sense == ">="), default=None)
            highest = min((math.floor(c.bound) for c in own if c.sense == "<="), default=None)
            out.append(_Budget(metric, lowest, highest, own))
    return out


class FeasibleSet:
    """The members of a space inside budgets on "params" and "macs"; building it is what takes time.

    With budgets on both metrics, counts and draws are exact inside the tightest, the one that fewest members meet,
    and draws outside the other are rejected. Constraints on metrics that are measured are not looked at.

    Args:
        trellises: The space as disjoint layered graphs.
        constraints: The bounds.
        genes: D, the number of genes.

    Raises:
        InfeasibleBudget: No member fits; names the smallest (for ">=": largest) reachable value.
    """

    def __init__(self, trellises: Sequence[Trellis], constraints: Sequence[Constraint], genes: int) -> None:
        self._genes = genes
        budgets = _budgets(constraints) or [_Budget("params", None, None, ())]
        graphs = {budget.metric: [build(trellis, budget.metric) for trellis in trellises] for budget in budgets}
        for budget in budgets:
            budget.check(graphs[budget.metric])
        possible = [all(budget.touches(graphs[budget.metric][t]) for budget in budgets) for t in range(len(trellises))]
        if not any(possible):
            raise budgets[-1].error()
        counted = {
            budget.metric: {
                t: budget.counter(graph) for t, graph in enumerate(graphs[budget.metric]) if budget.touches(graph)
            }
            for budget in budgets
        }
        totals = {metric: sum(counter.count for counter in counters.values()) for metric, counters in counted.items()}
        tightest = min(budgets, key=lambda budget: totals[budget.metric])
        if not totals[tightest.metric]:
            raise tightest.error()
        self._count = totals[tightest.metric]
        self._looser = [budget for budget in budgets if budget is not tightest]
        # A trellis without a member inside one of the budgets has nothing to draw from.
        self._counters = {
            t: counter
            for t, counter in counted[tightest.metric].items()
            if possible[t] and all(counted[budget.metric][t].count for budget in budgets)
        }
        self._ends = list(itertools.accumulate(counter.count for counter in self._counters.values()))
        if not self._ends or not self._ends[-1]:
            raise budgets[-1].error()
        self._trellises = {t: _Lists(trellises[t], genes) for t in self._counters}

    @property
    def count(self) -> int:
        """The exact number of members inside the tightest budget; without budgets all members of the space."""
        return self._count

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int16]:
        """[n, D] choice positions, -1 where a gene does not exist; uniform and independent.

        Args:
            rng: Source of the draws.
            n: Number of rows.

        Raises:
            InfeasibleBudget: With budgets on both metrics: none of many draws inside the tightest met the other.
        """
        if not self._looser:
            return self._draw(rng, n)[0]
        found, missing, tries = [np.empty((0, self._genes), dtype=np.int16)], n, 0
        while missing:
            rows, inside = self._draw(rng, BATCH)
            rows = rows[inside][:missing]
            tries = 0 if len(rows) else tries + BATCH
            if tries >= TRIES:
                raise self._looser[-1].error()
            found.append(rows)
            missing -= len(rows)
        return np.concatenate(found)

    def _draw(self, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """[n, D] members inside the tightest budget, and [n] whether they meet the looser ones."""
        ranks = draw_below(rng, np.full(n, self._ends[-1], dtype=count_type(self._ends[-1])))
        which = np.searchsorted(np.array(self._ends, dtype=ranks.dtype), ranks, side="right")
        rows, inside = np.empty((n, self._genes), dtype=np.int16), np.ones(n, dtype=bool)
        numbers = list(self._counters)
        for at, members in groups(which):
            t = numbers[at]
            edges = self._counters[t].sample(rng, len(members))
            rows[members] = self._trellises[t].rows(edges)
            for budget in self._looser:
                inside[members] &= budget.holds(self._trellises[t].costs(edges, budget.metric))
        return rows, inside


class _Lists:
    """What the edges of a trellis set and cost, as arrays."""

    def __init__(self, trellis: Trellis, genes: int) -> None:
        self._trellis = trellis
        self._fixed = np.full(genes, -1, dtype=np.int16)
        for gene, choice in trellis.fixed:
            self._fixed[gene] = choice

    @cached_property
    def _settings(self) -> list[NDArray[np.int16]]:
        out = []
        for layer in self._trellis.layers:
            table = np.full((len(layer), len(self._fixed)), -1, dtype=np.int16)
            for e, edge in enumerate(layer):
                for gene, choice in edge.genes:
                    table[e, gene] = choice
            out.append(table)
        return out

    def rows(self, edges: NDArray[np.int32]) -> NDArray[np.int16]:
        """[N, layers] edges to [N, D] choice positions."""
        out = np.tile(self._fixed, (len(edges), 1))
        for at, table in enumerate(self._settings):
            np.maximum(out, table[edges[:, at]], out=out)
        return out

    def costs(self, edges: NDArray[np.int32], metric: str) -> NDArray[np.int64]:
        """[N, layers] edges to [N] costs."""
        value = COSTS[metric]
        total = np.full(len(edges), value(self._trellis), dtype=np.int64)
        for at, layer in enumerate(self._trellis.layers):
            total += np.array([value(edge) for edge in layer], dtype=np.int64)[edges[:, at]]
        return total
