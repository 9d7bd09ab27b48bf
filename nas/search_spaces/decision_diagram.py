"""A space as a layered graph: one path for each architecture, exact costs that add up along it.

Genes are decided one after the other. What later ones still ask about earlier ones, the values of the frontier, is the
state between two layers: a gene is in the frontier until all that share a cost term or a condition with it are decided.
The order keeps it small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.search_spaces.cost_terms import METRICS, CostTerm
from nas.search_spaces.gene import ABSENT, Existence, Gene, Indices

WAYS = 64  # a layer decides genes until a cost is known, or until there are so many ways on
MOST_EDGES = 4_000_000  # of a layer
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layer:
    """The edges from the states before some decisions to the states behind them, ordered by their source.

    Args:
        genes: Positions of the genes that are decided.
        first: [states], the first edge of each state; every state has one.
        source: [E], state before.
        target: [E], state behind.
        choices: int16 [E, G], the choice of each gene, -1 where it does not exist.
        costs: int64 [E, 2], what the decisions add to "params" and "macs".
    """

    genes: tuple[int, ...]
    first: Integers
    source: Integers
    target: Integers
    choices: Indices
    costs: Integers

    @property
    def states(self) -> int:
        """Number of states before."""
        return len(self.first)


@final
class DecisionDiagram:
    """The members of a space as paths from state 0 before the first layer to state 0 behind the last.

    Args:
        genes: The genes.
        terms: What to add up along a path; none: paths without costs, through far fewer states.

    Attributes:
        base: int64 [2], costs that all members have.
        dimensions: Number of genes.
        layers: In the order of the decisions.

    Raises:
        UsageError: So many genes share terms that their states cannot be listed.
    """

    def __init__(self, genes: Sequence[Gene], terms: Sequence[CostTerm] = ()) -> None:
        constants = [term.table for term in terms if not term.genes]
        self.base = np.sum(constants, axis=0) if constants else np.zeros(len(METRICS), dtype=np.int64)
        self.dimensions = len(genes)
        self.layers = _layers(genes, [term for term in terms if term.genes])

    @cached_property
    def paths(self) -> int:
        """Their exact number."""
        after = np.ones(1, dtype=object)  # Python's integers have no largest
        for layer in reversed(self.layers):
            before = np.zeros(layer.states, dtype=object)
            np.add.at(before, layer.source, after[layer.target])
            after = before
        return int(after[0])

    def reach(self, metric: str) -> tuple[int, int]:
        """The exact smallest and largest cost of a path."""
        column = METRICS.index(metric)
        costs = [layer.costs[:, column] for layer in self.layers]
        low, high = (int(remaining(self.layers, costs, pick)[0][0]) for pick in (np.minimum, np.maximum))
        return int(self.base[column]) + low, int(self.base[column]) + high


def remaining(layers: Sequence[Layer], costs: Sequence[Integers], pick: np.ufunc) -> list[Integers]:
    """For each boundary, from the first to the last, [states]: the least or the most that the way on to the end costs.

    Args:
        layers: The layers.
        costs: For each, [E], what its edges cost.
        pick: np.minimum or np.maximum.
    """
    out = [np.zeros(1, dtype=np.int64)]
    for layer, cost in zip(reversed(layers), reversed(costs), strict=True):
        out.append(pick.reduceat(cost + out[-1][layer.target], layer.first))
    return out[::-1]


def elimination_order(
    sizes: Sequence[int], scopes: Sequence[AbstractSet[int]], parents: Sequence[Sequence[int]]
) -> list[int]:
    """The variables in an order in which few combinations of values must be remembered.

    A variable is remembered until all that share a scope with it are known. Always next is what one of them still
    waits for: if possible one that does not leave more to remember than there was, and among these the one on whose
    way there is least.

    Args:
        sizes: Number of values of each variable.
        scopes: Variables that must be known together.
        parents: For each variable, those that must come before it; they have smaller numbers.
    """
    neighbours = [set[int]() for _ in sizes]
    for scope in scopes:
        for v in scope:
            neighbours[v] |= scope - {v}
    order = [v for v, others in enumerate(neighbours) if not others]
    inside, frontier = set(order), set[int]()
    while len(order) < len(sizes):
        now = math.prod(sizes[v] for v in frontier) if frontier else math.inf
        best: tuple[bool, int, int] | None = None
        for v in range(len(sizes)):
            if v in inside and v not in frontier:
                continue
            missing = sorted(_with_parents(({v} | neighbours[v]) - inside, parents) - inside)
            remembered = _remembered(missing, inside, frontier, neighbours)
            states = [math.prod(sizes[u] for u in after) for after in remembered]
            rank = (states[-1] > now, max(states), len(missing))
            if best is None or rank < best:
                best, chosen, left = rank, missing, remembered[-1]
        order += chosen
        inside.update(chosen)
        frontier = left
    return order


def _remembered(
    missing: Sequence[int], inside: AbstractSet[int], frontier: AbstractSet[int], neighbours: Sequence[AbstractSet[int]]
) -> list[set[int]]:
    """The frontier after each of the missing ones is known in turn."""
    known, open_, out = set(inside), set(frontier), []
    for v in missing:
        known.add(v)
        open_ = {u for u in open_ | {v} if not neighbours[u] <= known}
        out.append(open_)
    return out


def _with_parents(variables: AbstractSet[int], parents: Sequence[Sequence[int]]) -> set[int]:
    out, waiting = set[int](), list(variables)
    while waiting:
        variable = waiting.pop()
        if variable not in out:
            out.add(variable)
            waiting += parents[variable]
    return out


def _layers(genes: Sequence[Gene], terms: Sequence[CostTerm]) -> list[Layer]:
    """Decide the genes in turn, in all states at once."""
    position = {gene.name: d for d, gene in enumerate(genes)}
    existence = Existence(genes)
    parents = [existence.parents(d) for d in range(len(genes))]
    columns = [tuple(position[name] for name in term.genes) for term in terms]
    scopes = [*map(frozenset, columns), *(frozenset((d, *above)) for d, above in enumerate(parents))]
    sizes = [len(gene.choices) + bool(gene.conditions) for gene in genes]
    order = elimination_order(sizes, scopes, parents)
    at = {d: i for i, d in enumerate(order)}
    needed = [0] * len(genes)  # how long each stays in the frontier
    for scope in scopes:
        for d in scope:
            needed[d] = max(needed[d], *(at[e] for e in scope))
    complete: list[list[int]] = [[] for _ in order]  # the terms whose last gene this is
    for t, scope_of_term in enumerate(columns):
        complete[max(at[d] for d in scope_of_term)].append(t)

    layers, edges, decided = list[Layer](), _Edges.start(1, len(genes)), list[int]()
    for i, d in enumerate(order):
        edges = edges.decided(d, len(genes[d].choices), existence)
        decided.append(d)
        for t in complete[i]:
            edges.costs[:] += terms[t].table[tuple(edges.rows[:, columns[t]].T)]
        if complete[i] or math.prod(sizes[e] for e in decided) >= WAYS or i + 1 == len(order):
            frontier = [e for e in order[: i + 1] if needed[e] > i]
            layer, edges = edges.closed(decided, frontier)
            layers.append(layer)
            decided = []
    return layers


@dataclass(frozen=True, slots=True)
class _Edges:
    """Ways on from every state while a layer is built.

    Args:
        source: [E], in ascending order.
        rows: int16 [E, D], the choices of the frontier and of the genes that the layer has decided.
        costs: [E, 2].
    """

    source: Integers
    rows: Indices
    costs: Integers

    @classmethod
    def start(cls, states: int, genes: int) -> _Edges:
        rows = np.full((states, genes), ABSENT, dtype=np.int16)
        return cls(np.arange(states), rows, np.zeros((states, len(METRICS)), dtype=np.int64))

    def decided(self, gene: int, choices: int, existence: Existence) -> _Edges:
        """Every way on with every choice of one more gene."""
        exists = existence.of(gene, self.rows)
        ways = np.where(exists, choices, 1)
        if ways.sum() > MOST_EDGES:
            raise UsageError("the cost terms couple too many genes to sample inside a budget; give each fewer genes")
        first = np.repeat(ways.cumsum() - ways, ways)
        rows = np.repeat(self.rows, ways, axis=0)
        rows[:, gene] = np.where(np.repeat(exists, ways), np.arange(len(rows)) - first, ABSENT)
        return _Edges(np.repeat(self.source, ways), rows, np.repeat(self.costs, ways, axis=0))

    def closed(self, decided: Sequence[int], frontier: Sequence[int]) -> tuple[Layer, _Edges]:
        """The finished layer, and the states behind it: the distinct values of the frontier."""
        if frontier:
            values, target = np.unique(self.rows[:, frontier], axis=0, return_inverse=True)
        else:
            values, target = np.empty((1, 0), np.int16), np.zeros(len(self.rows), np.int64)
        first = np.flatnonzero(np.diff(self.source, prepend=-1))
        layer = Layer(tuple(decided), first, self.source, target.reshape(-1), self.rows[:, decided], self.costs)
        following = _Edges.start(len(values), self.rows.shape[1])
        following.rows[:, frontier] = values
        return layer, following
