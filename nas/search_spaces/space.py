"""The contract of a search space, and everything that follows from its genes alone."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.objectives import Constraint
from nas.search_spaces.architecture import Architecture, Value
from nas.search_spaces.budgeted import FeasibleSet
from nas.search_spaces.cost_terms import CostSum, CostTerm
from nas.search_spaces.decision_diagram import DecisionDiagram
from nas.search_spaces.gene import ABSENT, Existence, Gene, Indices
from nas.search_spaces.metrics import budgets
from nas.task import Task

KEPT_FEASIBLE_SETS = 4


class Cost(NamedTuple):
    """What one architecture costs: trainable scalars, and multiply-adds for one input."""

    params: int
    macs: int


class SearchSpace(ABC):
    """A finite, versioned set of architectures for one task.

    A space states three things: its genes, the terms of its costs, and its JSON. Which genes exist, costs, sampling,
    variation and encoding follow from these. Its task says what its networks take and give.
    """

    name: str
    version: int
    preset: str
    task: Task

    # What a space states.

    @property
    @abstractmethod
    def genes(self) -> tuple[Gene, ...]:
        """Every decision, in the order of `Architecture.values`; with a condition behind what it depends on."""

    @property
    @abstractmethod
    def cost_terms(self) -> tuple[CostTerm, ...]:
        """Tables over few genes that add up to the exact cost of every member."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All that defines the space; `search_spaces.from_json` reads it back."""

    # What follows.

    @final
    @cached_property
    def names(self) -> tuple[str, ...]:
        """Gene names."""
        return tuple(gene.name for gene in self.genes)

    @final
    @cached_property
    def cardinalities(self) -> NDArray[np.int64]:
        """[D]: the number of choices of each gene."""
        return np.array([len(gene.choices) for gene in self.genes], dtype=np.int64)

    @final
    @cached_property
    def _positions(self) -> tuple[dict[Value | None, int], ...]:
        return tuple({None: ABSENT} | {v: i for i, v in enumerate(g.choices)} for g in self.genes)

    @final
    @cached_property
    def _existence(self) -> Existence:
        return Existence(self.genes)

    @final
    def exists(self, indices: Indices) -> NDArray[np.bool_]:
        """[N, D]: which genes exist under these choices; choices of absent genes do not matter."""
        return self._existence(indices)

    @final
    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name this space."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @final
    def indices(self, archs: Sequence[Architecture]) -> Indices:
        """[N, D] choice positions of `archs`; -1 where a gene does not exist.

        Raises:
            UsageError: One of them is not of this space.
        """
        out = np.empty((len(archs), len(self.genes)), dtype=np.int16)
        if not archs:
            return out
        try:
            columns = zip(*(arch.values for arch in archs), strict=True)
            for d, (column, position) in enumerate(zip(columns, self._positions, strict=True)):
                out[:, d] = np.fromiter(map(position.__getitem__, column), dtype=np.int16, count=len(archs))
        except (KeyError, ValueError):
            for arch in archs:
                self.require(arch)
            raise
        return out

    @final
    def architectures(self, indices: Indices) -> list[Architecture]:
        """The architectures that rows of choice positions name; absent genes are dropped."""
        rows = self.canonical(indices).tolist()
        choices = tuple((*gene.choices, None) for gene in self.genes)  # position -1 is the None
        return [
            Architecture(self.name, self.names, tuple(c[i] for c, i in zip(choices, row, strict=True))) for row in rows
        ]

    @final
    def canonical(self, indices: Indices) -> Indices:
        """`indices` with -1 at every gene that does not exist."""
        return np.where(self.exists(indices), indices, ABSENT).astype(np.int16)

    @final
    def from_genes(self, genes: Mapping[str, Value]) -> Architecture:
        """The architecture with exactly these genes.

        Raises:
            UnknownName: A gene that the space does not have.
            UsageError: A missing gene, one that does not exist under the others, or a value that is no choice.
        """
        for name in genes:
            if name not in self.names:
                raise UnknownName(f"gene of space {self.name!r}", name, self.names)
        row = np.full((1, len(self.genes)), ABSENT, dtype=np.int16)
        for d, gene in enumerate(self.genes):
            if gene.name in genes:
                value = genes[gene.name]
                if isinstance(value, bool) or value not in gene.choices:
                    raise UsageError(f"gene {gene.name!r} is {value!r}; choose one of {list(gene.choices)}")
                row[0, d] = gene.choices.index(value)
        exists = self.exists(row)[0]
        for d, gene in enumerate(self.genes):
            if exists[d] and row[0, d] == ABSENT:
                raise UsageError(f"gene {gene.name!r} is missing; choose one of {list(gene.choices)}")
            if not exists[d] and row[0, d] != ABSENT:
                raise UsageError(f"gene {gene.name!r} does not exist in this architecture; leave it out")
        return self.architectures(row)[0]

    @final
    def from_document(self, document: Any) -> Architecture:
        """The architecture that `Architecture.to_json` wrote.

        Raises:
            UsageError: The document is of another form, of another space, or names no member.
        """
        if not isinstance(document, dict) or not isinstance(document.get("genes"), dict):
            raise UsageError('an architecture is a JSON object {"space": ..., "genes": {...}}')
        if document.get("space") != self.name:
            raise UsageError(f"this architecture belongs to space {document.get('space')!r}, not {self.name!r}")
        return self.from_genes(document["genes"])

    @final
    def __contains__(self, arch: object) -> bool:
        if not isinstance(arch, Architecture) or arch.space != self.name or arch.names != self.names:
            return False
        try:
            self.from_genes(arch.genes)
        except UsageError:
            return False
        return True

    @final
    def require(self, arch: Architecture) -> None:
        """Refuse an architecture of another space, or of this one made for another task or preset.

        Looks at names and values, not at which genes exist: fast enough for every forward pass.

        Raises:
            UsageError: Names the first gene that does not fit.
        """
        if arch.space != self.name or arch.names != self.names:
            raise UsageError(f"architecture {arch.digest} belongs to another space or preset; use one of this space")
        for gene, value, known in zip(self.genes, arch.values, self._positions, strict=True):
            if value not in known:
                raise UsageError(
                    f"architecture {arch.digest} has {gene.name}={value!r}, here it is one of {list(gene.choices)}; "
                    "use an architecture of this space"
                )

    @final
    def largest(self) -> Architecture:
        """The member with the last choice of every gene."""
        return self.architectures((self.cardinalities - 1).astype(np.int16)[None])[0]

    @final
    def smallest(self) -> Architecture:
        """The member with the first choice of every gene."""
        return self.architectures(np.zeros((1, len(self.genes)), dtype=np.int16))[0]

    @final
    def cost(self, arch: Architecture) -> Cost:
        """Exact parameters and multiply-adds of `arch`."""
        costs = self.costs([arch])
        return Cost(int(costs["params"][0]), int(costs["macs"][0]))

    @final
    def costs(self, archs: Sequence[Architecture]) -> dict[str, NDArray[np.int64]]:
        """Exact "params" and "macs" of a population, [N] each."""
        if not archs:
            return {"params": np.zeros(0, np.int64), "macs": np.zeros(0, np.int64)}
        return self.costs_of(self.indices(archs))

    @final
    @cached_property
    def _cost_sum(self) -> CostSum:
        return CostSum(self.genes, self.cost_terms)

    @final
    def costs_of(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """Exact "params" and "macs", [N] each, of rows of choice positions, -1 where a gene does not exist."""
        return self._cost_sum(indices)

    @final
    @cached_property
    def _decisions(self) -> DecisionDiagram:
        """Without costs, and so with few states."""
        return DecisionDiagram(self.genes)

    @final
    @cached_property
    def _costed_decisions(self) -> DecisionDiagram:
        return DecisionDiagram(self.genes, self.cost_terms)

    @final
    def cost_range(self, metric: str) -> tuple[int, int]:
        """The smallest and the largest "params" or "macs" that a member has."""
        return self._costed_decisions.reach(metric)

    @final
    def feasible(self, constraints: Sequence[Constraint] = ()) -> FeasibleSet:
        """The members inside additive budgets, ready to be sampled uniformly; without budgets all members.

        Building it may take a second for a big space and a budget; sampling from it is fast.

        Raises:
            InfeasibleBudget: No member fits; names the smallest reachable value.
        """
        key = tuple(budgets(constraints))
        if key not in self._feasible_sets:
            while len(self._feasible_sets) >= KEPT_FEASIBLE_SETS:
                del self._feasible_sets[next(iter(self._feasible_sets))]
            diagram = self._costed_decisions if key else self._decisions
            self._feasible_sets[key] = FeasibleSet(diagram, self.costs_of, key)
        return self._feasible_sets[key]

    @final
    @cached_property
    def _feasible_sets(self) -> dict[tuple[Constraint, ...], FeasibleSet]:
        """The latest sets: they take a moment to build and some memory, and searchers ask again."""
        return {}

    @final
    @cached_property
    def size(self) -> int:
        """The exact number of members."""
        return self._decisions.paths

    @final
    def sample(self, rng: np.random.Generator, constraints: Sequence[Constraint] = ()) -> Architecture:
        """One member, uniform among those inside the budgets (see `feasible` to draw many).

        Raises:
            InfeasibleBudget: No member fits; names the smallest reachable value.
        """
        return self.architectures(self.feasible(constraints).sample(rng, 1))[0]

    @final
    def sample_choices(self, rng: np.random.Generator, n: int, lowest: NDArray[np.int64] | None = None) -> Indices:
        """[n, D]: every gene drawn uniformly on its own, the way supernets are trained (Cai et al. 2020).

        Unlike `sample` this is not uniform over members: deep networks have more members than shallow ones.

        Args:
            rng: Source of the draws.
            n: Number of rows.
            lowest: [D], the first choice of each gene that may be drawn; None for all.
        """
        first = np.zeros_like(self.cardinalities) if lowest is None else lowest
        return self.canonical(rng.integers(first, self.cardinalities, size=(n, len(self.genes))).astype(np.int16))

    @final
    def mutate(self, arch: Architecture, rng: np.random.Generator, rate: float) -> Architecture:
        """A member that differs from `arch`, if there is one: each gene takes another value with chance `rate`."""
        return self.architectures(self.mutate_indices(self.indices([arch]), rng, rate))[0]

    @final
    def mutate_indices(self, parents: Indices, rng: np.random.Generator, rate: float) -> Indices:
        """[N, D]: each existing gene takes another value with probability `rate`, at least one does.

        Genes that come into existence draw their values uniformly.
        """
        n, dims = parents.shape
        if dims == 0:  # the space has one member
            return parents.copy()
        free = (parents != ABSENT) & (self.cardinalities > 1)
        change = (rng.random((n, dims)) < rate) & free
        forced = np.where(free, rng.random((n, dims)), -1.0).argmax(axis=1)
        rows = np.flatnonzero(~change.any(axis=1))
        change[rows, forced[rows]] = True
        step = rng.integers(1, np.maximum(self.cardinalities, 2), size=(n, dims))
        fresh = rng.integers(0, self.cardinalities, size=(n, dims))
        full = np.where(parents == ABSENT, fresh, parents)
        return self.canonical(np.where(change, (full + step) % self.cardinalities, full).astype(np.int16))

    @final
    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Uniform crossover of two members."""
        return self.architectures(self.crossover_indices(self.indices([a]), self.indices([b]), rng))[0]

    @final
    def crossover_indices(self, a: Indices, b: Indices, rng: np.random.Generator) -> Indices:
        """[N, D]: each gene from `a` or `b` with equal chance; from the other where one lacks it."""
        fresh = rng.integers(0, self.cardinalities, size=a.shape)
        mixed = np.where(rng.random(a.shape) < 0.5, a, b)
        mixed = np.where(mixed == ABSENT, np.maximum(a, b), mixed)
        return self.canonical(np.where(mixed == ABSENT, fresh, mixed).astype(np.int16))

    @final
    def neighbours(self, arch: Architecture) -> list[Architecture]:
        """Every member that differs in one decision; genes it brings into existence take their first choice."""
        base = self.indices([arch])[0]
        rows = []
        for d in np.flatnonzero(base != ABSENT):
            for choice in range(int(self.cardinalities[d])):
                if choice != base[d]:
                    row = np.maximum(base, 0)
                    row[d] = choice
                    rows.append(row)
        return self.architectures(np.array(rows, dtype=np.int16)) if rows else []

    @final
    def encode(self, archs: Sequence[Architecture]) -> NDArray[np.float32]:
        """[N, sum of choices]: one-hot per gene, all zero where a gene does not exist."""
        indices = self.indices(archs)
        blocks = [indices[:, d, None] == np.arange(c) for d, c in enumerate(self.cardinalities)]
        return np.concatenate([np.zeros((len(archs), 0), bool), *blocks], axis=1).astype(np.float32)
