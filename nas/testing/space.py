"""What every search space promises."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from nas.errors import InfeasibleBudget, UsageError
from nas.objectives import Constraint
from nas.search_spaces import ABSENT, SearchSpace, Value, from_json
from nas.search_spaces.decision_diagram import DecisionDiagram
from nas.testing.promises import Promise, refused, require_all
from nas.testing.spaces import members

ENUMERABLE = 50_000  # combinations of choices up to which all members are listed


@dataclass(frozen=True, slots=True)
class SpaceCase:
    """A space, and how its JSON is read back."""

    space: SearchSpace
    read_back: Callable[[str], SearchSpace] = from_json


def check_space(space: SearchSpace, *, read_back: Callable[[str], SearchSpace] = from_json) -> None:
    """Check that a space keeps its contract.

    Args:
        space: The space.
        read_back: Reads its JSON; `nas.search_spaces.from_json` does where the space's family is registered.

    Raises:
        ContractError: Names the first promise that is broken.
    """
    require_all(f"space {space.name!r}", SpaceCase(space, read_back), PROMISES)


def genes_have_names_and_choices(case: SpaceCase, seed: int) -> None:
    """Genes have distinct names, a kind, and at least two distinct choices."""
    genes = case.space.genes
    assert len({gene.name for gene in genes}) == len(genes)
    for gene in genes:
        assert gene.kind, gene
        assert len(gene.choices) > 1, gene
        assert len(set(gene.choices)) == len(gene.choices), gene
        assert json.loads(json.dumps(asdict(gene)))["name"] == gene.name


def parents_come_first(case: SpaceCase, seed: int) -> None:
    """Parents come before the genes that depend on them."""
    choices: dict[str, tuple[Value, ...]] = {}
    for gene in case.space.genes:
        for parent, values in gene.conditions.items():
            assert values, gene
            assert set(values) <= set(choices[parent]), gene
        choices[gene.name] = gene.choices


def genes_exist_under_their_conditions(case: SpaceCase, seed: int) -> None:
    """A gene exists where its conditions are met, and nowhere else."""
    space = case.space
    for arch in space.architectures(space.sample_choices(np.random.default_rng(seed), 5)):
        for gene in space.genes:
            met = all(arch.genes.get(parent) in values for parent, values in gene.conditions.items())
            assert (gene.name in arch.genes) == met, gene


def size_is_exact(case: SpaceCase, seed: int) -> None:
    """Its size is the number of distinct members."""
    space = case.space
    assert space.size == DecisionDiagram(space.genes, space.cost_terms).paths
    if math.prod(space.cardinalities.tolist()) <= ENUMERABLE:
        assert space.size == len(members(space))


def costs_are_sums_of_terms(case: SpaceCase, seed: int) -> None:
    """Costs are the sums of the terms."""
    space = case.space
    rows = space.sample_choices(np.random.default_rng(seed), 4)
    for row, arch in zip(rows, space.architectures(rows), strict=True):
        parts = [term.table[tuple(row[space.names.index(name)] for name in term.genes)] for term in space.cost_terms]
        assert tuple(space.cost(arch)) == tuple(np.sum([np.zeros(2, np.int64), *parts], axis=0)), arch


def populations_cost_what_members_cost(case: SpaceCase, seed: int) -> None:
    """A population costs what its members cost alone."""
    space = case.space
    archs = space.architectures(space.sample_choices(np.random.default_rng(seed), 4))
    costs = space.costs(archs)
    assert set(costs) == {"params", "macs"}
    for i, arch in enumerate(archs):
        assert tuple(space.cost(arch)) == (costs["params"][i], costs["macs"][i]), arch
    assert all(len(column) == 0 for column in space.costs([]).values())


def what_it_makes_is_a_member(case: SpaceCase, seed: int) -> None:
    """Everything that it makes is a member."""
    space, rng = case.space, np.random.default_rng(seed)
    a, b = space.sample(rng), space.architectures(space.sample_choices(rng, 1))[0]
    made = [a, b, space.mutate(a, rng, rng.random()), space.crossover(a, b, rng), space.largest(), space.smallest()]
    for arch in [*made, *space.neighbours(a)]:
        assert arch in space, arch


def a_mutant_differs(case: SpaceCase, seed: int) -> None:
    """A mutant differs from its parent."""
    rng = np.random.default_rng(seed)
    parent = case.space.sample(rng)
    assert case.space.mutate(parent, rng, 0.0) != parent, parent


def neighbours_differ_in_one_gene(case: SpaceCase, seed: int) -> None:
    """Neighbours are distinct and differ in one shared gene."""
    arch = case.space.sample(np.random.default_rng(seed))
    neighbours = case.space.neighbours(arch)
    assert len(set(neighbours)) == len(neighbours)
    assert arch not in neighbours
    for other in neighbours:
        shared = arch.genes.keys() & other.genes.keys()
        assert sum(arch[name] != other[name] for name in shared) == 1, other


def crossover_takes_genes_of_the_parents(case: SpaceCase, seed: int) -> None:
    """Crossover takes every shared gene from a parent."""
    space, rng = case.space, np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    for name, value in space.crossover(a, b, rng).genes.items():
        parents = [parent[name] for parent in (a, b) if name in parent.genes]
        assert not parents or value in parents, name
    assert space.crossover(a, a, rng) == a


def the_seed_fixes_the_members(case: SpaceCase, seed: int) -> None:
    """The same seed gives the same members."""
    a, b = (case.space.feasible().sample(np.random.default_rng(3), 20) for _ in range(2))
    assert (a == b).all()
    assert len(np.unique(a, axis=0)) > 1


def equal_networks_are_equal_members(case: SpaceCase, seed: int) -> None:
    """Rows that build the same network are equal architectures."""
    space, rng = case.space, np.random.default_rng(seed)
    rows = space.sample_choices(rng, 8)
    noise = rng.integers(0, space.cardinalities, size=rows.shape)
    noisy = np.where(rows == ABSENT, noise, rows).astype(np.int16)
    assert (space.canonical(noisy) == rows).all()
    assert ((rows != ABSENT) == space.exists(noisy)).all()
    archs, again = space.architectures(rows), space.architectures(noisy)
    assert archs == again
    assert [hash(a) for a in archs] == [hash(a) for a in again]
    assert (space.indices(archs) == rows).all()


def json_round_trips(case: SpaceCase, seed: int) -> None:
    """Its JSON gives an equal space, and an architecture's an equal architecture."""
    space, again = case.space, case.read_back(json.dumps(case.space.to_json()))
    assert again.to_json() == space.to_json()
    assert again.digest == space.digest
    assert again.genes == space.genes
    assert again.task == space.task
    arch = space.sample(np.random.default_rng(seed))
    read = again.from_document(json.loads(json.dumps(arch.to_json())))
    assert read == arch
    assert read.digest == arch.digest


def foreign_architectures_are_refused(case: SpaceCase, seed: int) -> None:
    """Foreign architectures are no members."""
    space, document = case.space, case.space.smallest().to_json()
    missing = dict(list(document["genes"].items())[1:])
    documents: tuple[object, ...] = (
        {**document, "space": "elsewhere"},
        {**document, "genes": {**document["genes"], "colour": 3}},
        {**document, "genes": missing},
        {**document, "genes": {**document["genes"], space.names[0]: "odd"}},
        {**document, "genes": None},
        [],
    )
    for wrong in documents:
        with refused(UsageError):
            space.from_document(wrong)
    assert document not in space


def encodings_are_one_hot(case: SpaceCase, seed: int) -> None:
    """An encoding is one-hot and names one member."""
    space = case.space
    rows = space.sample_choices(np.random.default_rng(seed), 5)
    code = space.encode(space.architectures(rows))
    assert code.shape == (5, space.cardinalities.sum())
    assert code.dtype == np.float32
    at = np.concatenate([[0], np.cumsum(space.cardinalities)])
    for d in range(len(space.genes)):
        block = code[:, at[d] : at[d + 1]]
        assert (block.sum(axis=1) == (rows[:, d] != ABSENT)).all()
        assert (block.argmax(axis=1) == np.maximum(rows[:, d], 0)).all()


def samples_meet_their_budget(case: SpaceCase, seed: int) -> None:
    """Samples meet their budget."""
    space, rng = case.space, np.random.default_rng(seed)
    metric, sense = ("params", "macs")[seed % 2], _SENSES[seed // 2 % 2]
    budget = Constraint(metric, sense, int(space.costs([space.sample(rng)])[metric][0]))
    rows = space.feasible([budget]).sample(rng, 50)
    assert rows.shape == (50, len(space.genes))
    assert rows.dtype == np.int16
    assert (space.canonical(rows) == rows).all()
    assert all(budget.violation(value) == 0 for value in space.costs_of(rows)[metric].tolist())


_SENSES: tuple[Literal["<=", ">="], ...] = ("<=", ">=")


def budgets_are_exact_at_the_boundary(case: SpaceCase, seed: int) -> None:
    """A budget at the smallest or largest cost has members, and one beyond it is refused by name."""
    space, rng = case.space, np.random.default_rng(0)
    metric = ("params", "macs")[seed]
    smallest, largest = space.cost_range(metric)
    with refused(InfeasibleBudget, f"{smallest:,}"):
        space.feasible([Constraint(metric, "<=", -1)])
    rows = space.feasible([Constraint(metric, "<=", smallest)]).sample(rng, 3)
    assert (space.costs_of(rows)[metric] == smallest).all()
    with refused(InfeasibleBudget):
        space.feasible([Constraint(metric, "<=", smallest - 1)])
    rows = space.feasible([Constraint(metric, ">=", largest)]).sample(rng, 3)
    assert (space.costs_of(rows)[metric] == largest).all()
    with refused(InfeasibleBudget):
        space.feasible([Constraint(metric, ">=", largest + 1)])


PROMISES: tuple[Promise[SpaceCase], ...] = (
    Promise(genes_have_names_and_choices),
    Promise(parents_come_first),
    Promise(genes_exist_under_their_conditions, draws=10),
    Promise(size_is_exact),
    Promise(costs_are_sums_of_terms, draws=10),
    Promise(populations_cost_what_members_cost, draws=10),
    Promise(what_it_makes_is_a_member, draws=10),
    Promise(a_mutant_differs, draws=10),
    Promise(neighbours_differ_in_one_gene, draws=10),
    Promise(crossover_takes_genes_of_the_parents, draws=10),
    Promise(the_seed_fixes_the_members),
    Promise(equal_networks_are_equal_members, draws=10),
    Promise(json_round_trips, draws=5),
    Promise(foreign_architectures_are_refused),
    Promise(encodings_are_one_hot, draws=10),
    Promise(samples_meet_their_budget, draws=8),
    Promise(budgets_are_exact_at_the_boundary, draws=2),
)
