"""What every search space promises; a new one is tested by giving its fixture."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.errors import InfeasibleBudget, UsageError
from nas.objectives import Constraint
from nas.search_spaces import ABSENT, SearchSpace, Value, from_json
from nas.search_spaces.decision_diagram import DecisionDiagram
from tests.search_spaces.enumeration import members

ENUMERABLE = 50_000  # combinations of choices up to which all members are listed

PROPERTY = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
seeds = st.integers(0, 2**32 - 1)


class SearchSpaceContract:
    """Subclasses give the fixture `space`, and `read_back` where `search_spaces.from_json` does not know it."""

    def read_back(self, text: str) -> SearchSpace:
        return from_json(text)

    def test_genes_have_distinct_names_and_at_least_two_choices(self, space: SearchSpace) -> None:
        assert len(set(space.names)) == len(space.names)
        assert all(len(gene.choices) > 1 and len(set(gene.choices)) == len(gene.choices) for gene in space.genes)

    def test_parents_come_before_the_genes_that_depend_on_them(self, space: SearchSpace) -> None:
        choices: dict[str, tuple[Value, ...]] = {}
        for gene in space.genes:
            assert gene.kind
            for parent, values in gene.conditions.items():
                assert values
                assert set(values) <= set(choices[parent])
            choices[gene.name] = gene.choices
            assert json.loads(json.dumps(asdict(gene)))["name"] == gene.name

    @PROPERTY
    @given(seed=seeds)
    def test_a_gene_exists_where_its_conditions_are_met(self, space: SearchSpace, seed: int) -> None:
        for arch in space.architectures(space.sample_choices(np.random.default_rng(seed), 5)):
            for gene in space.genes:
                met = all(arch.genes.get(parent) in values for parent, values in gene.conditions.items())
                assert (gene.name in arch.genes) == met

    def test_size_is_the_number_of_distinct_members(self, space: SearchSpace) -> None:
        assert space.size == DecisionDiagram(space.genes, space.cost_terms).paths
        if math.prod(space.cardinalities.tolist()) <= ENUMERABLE:
            assert space.size == len(members(space))

    @PROPERTY
    @given(seed=seeds)
    def test_costs_are_the_sums_of_the_terms(self, space: SearchSpace, seed: int) -> None:
        rows = space.sample_choices(np.random.default_rng(seed), 4)
        for row, arch in zip(rows, space.architectures(rows), strict=True):
            parts = [
                term.table[tuple(row[space.names.index(name)] for name in term.genes)] for term in space.cost_terms
            ]
            assert tuple(space.cost(arch)) == tuple(np.sum([np.zeros(2, np.int64), *parts], axis=0))

    @PROPERTY
    @given(seed=seeds, rate=st.floats(0, 1))
    def test_everything_it_makes_is_a_member(self, space: SearchSpace, seed: int, rate: float) -> None:
        rng = np.random.default_rng(seed)
        a, b = space.sample(rng), space.architectures(space.sample_choices(rng, 1))[0]
        made = [a, b, space.mutate(a, rng, rate), space.crossover(a, b, rng), space.largest(), space.smallest()]
        assert all(arch in space for arch in [*made, *space.neighbours(a)])

    @PROPERTY
    @given(seed=seeds)
    def test_a_mutant_differs_from_its_parent(self, space: SearchSpace, seed: int) -> None:
        rng = np.random.default_rng(seed)
        parent = space.sample(rng)
        assert space.mutate(parent, rng, 0.0) != parent

    @PROPERTY
    @given(seed=seeds)
    def test_neighbours_are_distinct_and_differ_in_one_shared_gene(self, space: SearchSpace, seed: int) -> None:
        arch = space.sample(np.random.default_rng(seed))
        neighbours = space.neighbours(arch)
        assert len(set(neighbours)) == len(neighbours)
        assert arch not in neighbours
        for other in neighbours:
            shared = arch.genes.keys() & other.genes.keys()
            assert sum(arch[name] != other[name] for name in shared) == 1

    @PROPERTY
    @given(seed=seeds)
    def test_crossover_takes_every_shared_gene_from_a_parent(self, space: SearchSpace, seed: int) -> None:
        rng = np.random.default_rng(seed)
        a, b = space.sample(rng), space.sample(rng)
        for name, value in space.crossover(a, b, rng).genes.items():
            parents = [parent[name] for parent in (a, b) if name in parent.genes]
            assert not parents or value in parents
        assert space.crossover(a, a, rng) == a

    def test_the_same_seed_gives_the_same_members(self, space: SearchSpace) -> None:
        a, b = (space.feasible().sample(np.random.default_rng(3), 20) for _ in range(2))
        assert (a == b).all()
        assert len(np.unique(a, axis=0)) > 1

    @PROPERTY
    @given(seed=seeds)
    def test_rows_that_build_the_same_network_are_equal(self, space: SearchSpace, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = space.sample_choices(rng, 8)
        noise = rng.integers(0, space.cardinalities, size=rows.shape)
        noisy = np.where(rows == ABSENT, noise, rows).astype(np.int16)
        assert (space.canonical(noisy) == rows).all()
        assert ((rows != ABSENT) == space.exists(noisy)).all()
        archs, again = space.architectures(rows), space.architectures(noisy)
        assert archs == again
        assert [hash(a) for a in archs] == [hash(a) for a in again]
        assert (space.indices(archs) == rows).all()

    @PROPERTY
    @given(seed=seeds)
    def test_json_round_trips(self, space: SearchSpace, seed: int) -> None:
        again = self.read_back(json.dumps(space.to_json()))
        assert again.to_json() == space.to_json()
        assert again.digest == space.digest
        assert again.genes == space.genes
        arch = space.sample(np.random.default_rng(seed))
        read = again.from_document(json.loads(json.dumps(arch.to_json())))
        assert read == arch
        assert read.digest == arch.digest

    def test_foreign_architectures_are_no_members(self, space: SearchSpace) -> None:
        document = space.smallest().to_json()
        missing = dict(list(document["genes"].items())[1:])
        for wrong in (
            {**document, "space": "elsewhere"},
            {**document, "genes": {**document["genes"], "colour": 3}},
            {**document, "genes": missing},
            {**document, "genes": {**document["genes"], space.names[0]: "odd"}},
            {**document, "genes": None},
            [],
        ):
            with pytest.raises(UsageError):
                space.from_document(wrong)
        assert document not in space

    @PROPERTY
    @given(seed=seeds)
    def test_an_encoding_is_one_hot_and_names_one_member(self, space: SearchSpace, seed: int) -> None:
        rows = space.sample_choices(np.random.default_rng(seed), 5)
        code = space.encode(space.architectures(rows))
        assert code.shape == (5, space.cardinalities.sum())
        assert code.dtype == np.float32
        at = np.concatenate([[0], np.cumsum(space.cardinalities)])
        for d in range(len(space.genes)):
            block = code[:, at[d] : at[d + 1]]
            assert (block.sum(axis=1) == (rows[:, d] != ABSENT)).all()
            assert (block.argmax(axis=1) == np.maximum(rows[:, d], 0)).all()

    @PROPERTY
    @given(seed=seeds)
    def test_a_population_costs_what_its_members_cost_alone(self, space: SearchSpace, seed: int) -> None:
        archs = space.architectures(space.sample_choices(np.random.default_rng(seed), 4))
        costs = space.costs(archs)
        assert set(costs) == {"params", "macs"}
        for i, arch in enumerate(archs):
            assert tuple(space.cost(arch)) == (costs["params"][i], costs["macs"][i])
        assert all(len(column) == 0 for column in space.costs([]).values())

    @PROPERTY
    @given(seed=seeds, metric=st.sampled_from(["params", "macs"]), sense=st.sampled_from(["<=", ">="]))
    def test_samples_meet_their_budget(self, space: SearchSpace, seed: int, metric: str, sense: str) -> None:
        rng = np.random.default_rng(seed)
        bound = int(space.costs([space.sample(rng)])[metric][0])
        budget = Constraint(metric, "<=" if sense == "<=" else ">=", bound)
        feasible = space.feasible([budget])
        rows = feasible.sample(rng, 50)
        assert rows.shape == (50, len(space.genes))
        assert rows.dtype == np.int16
        assert (space.canonical(rows) == rows).all()
        assert all(budget.violation(value) == 0 for value in space.costs_of(rows)[metric].tolist())

    @pytest.mark.parametrize("metric", ["params", "macs"])
    def test_budgets_and_costs_agree_at_the_boundary(self, space: SearchSpace, metric: str) -> None:
        with pytest.raises(InfeasibleBudget) as error:
            space.feasible([Constraint(metric, "<=", -1)])
        smallest = error.value.reach
        assert smallest == space.cost_range(metric)[0]
        assert f"{smallest:,}" in str(error.value)
        rows = space.feasible([Constraint(metric, "<=", smallest)]).sample(np.random.default_rng(0), 3)
        assert (space.costs_of(rows)[metric] == smallest).all()
        with pytest.raises(InfeasibleBudget):
            space.feasible([Constraint(metric, "<=", smallest - 1)])
        largest = space.cost_range(metric)[1]
        rows = space.feasible([Constraint(metric, ">=", largest)]).sample(np.random.default_rng(0), 3)
        assert (space.costs_of(rows)[metric] == largest).all()
        with pytest.raises(InfeasibleBudget):
            space.feasible([Constraint(metric, ">=", largest + 1)])
