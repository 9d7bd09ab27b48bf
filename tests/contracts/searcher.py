"""What every searcher promises; subclass and say which one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.grid_space import GridSpace
from nas.errors import InfeasibleBudget, UsageError
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.searchers import Searcher, Strategy, Trial
from tests.spaces import SPACES

SPACE = SPACES["learned"]
OBJECTIVES = (Objective("accuracy", "max"), Objective("macs", "min"))


def measure(space: SearchSpace, archs: Sequence[Architecture]) -> list[dict[str, float]]:
    """Exact costs, and an accuracy in 0..1 that rises smoothly with every gene, each less than the one before."""
    if not archs:
        return []
    rows, costs = space.indices(archs), space.costs(archs)
    weights = 0.9 ** np.arange(rows.shape[1])
    relative = np.maximum(rows, 0) / np.maximum(space.cardinalities - 1, 1)
    accuracy = 1 - np.exp(-3 * (relative * weights).sum(axis=1) / weights.sum())
    return [
        {"accuracy": float(a), "latency_ms": float(m) / 1e5, "macs": float(m), "params": float(p)}
        for a, m, p in zip(accuracy, costs["macs"], costs["params"], strict=True)
    ]


def trials(searcher: Searcher, archs: Sequence[Architecture]) -> list[Trial]:
    """The next batch of a search, evaluated."""
    history = searcher.history
    metrics = measure(history.problem.space, archs)
    return [Trial(len(history) + i, a, m, history.batch) for i, (a, m) in enumerate(zip(archs, metrics, strict=True))]


def drive(searcher: Searcher, batches: int, n: int) -> list[list[Trial]]:
    """Ask, evaluate, tell; the told batches."""
    told = []
    for _ in range(batches):
        told.append(trials(searcher, searcher.ask(n)))
        searcher.tell(told[-1])
    return told


class SearcherContract:
    """Subclasses set `strategy`; `batch` and `batches` must take the search well past its first population."""

    strategy: Strategy
    batch = 6
    batches = 5

    def searcher(
        self,
        constraints: Sequence[Constraint] = (),
        *,
        space: SearchSpace = SPACE,
        objectives: Sequence[Objective] = OBJECTIVES,
        seed: int = 0,
    ) -> Searcher:
        return Searcher(space, objectives, constraints, seed=seed, strategy=self.strategy)

    @pytest.mark.parametrize("goals", [1, 2])
    def test_asks_new_members_only(self, goals: int) -> None:
        told = drive(self.searcher(objectives=OBJECTIVES[:goals]), self.batches, self.batch)
        archs = [trial.arch for batch in told for trial in batch]
        assert [len(batch) for batch in told] == [self.batch] * self.batches
        assert len(set(archs)) == len(archs)
        assert all(arch in SPACE for arch in archs)

    def test_asking_again_before_a_tell_gives_the_same(self) -> None:
        searcher = self.searcher()
        for _ in range(self.batches):
            first = searcher.ask(self.batch)
            assert searcher.ask(self.batch) == first
            searcher.tell(trials(searcher, first))

    def test_told_batches_are_the_whole_state(self) -> None:
        searcher, resumed = self.searcher(seed=3), self.searcher(seed=3)
        told = drive(searcher, self.batches, self.batch)
        for batch in told:
            resumed.tell(batch)
        assert resumed.ask(self.batch) == searcher.ask(self.batch)

    def test_the_seed_and_the_batch_fix_the_draws(self) -> None:
        assert self.searcher(seed=1).ask(8) == self.searcher(seed=1).ask(8)
        assert self.searcher(seed=1).ask(8) != self.searcher(seed=2).ask(8)
        later = self.searcher(seed=1)
        later.tell([])
        assert later.ask(8) != self.searcher(seed=1).ask(8)

    @pytest.mark.parametrize("texts", [["macs<=150000"], ["params>=9000"], ["macs<=180000", "params<=9000"]])
    def test_budgets_are_met_by_everything_asked(self, texts: list[str]) -> None:
        constraints = [Constraint.parse(text) for text in texts]
        told = drive(self.searcher(constraints), self.batches, self.batch)
        asked = [trial for batch in told for trial in batch]
        assert len(asked) == self.batch * self.batches
        for constraint in constraints:
            assert not any(constraint.violation(trial.metrics[constraint.metric]) for trial in asked)

    def test_an_impossible_budget_is_refused(self) -> None:
        with pytest.raises(InfeasibleBudget, match="smallest reachable"):
            self.searcher([Constraint.parse("macs<=10")]).ask(2)

    def test_bounds_on_measured_metrics_are_accepted(self) -> None:
        searcher = self.searcher([Constraint.parse("latency_ms<=2"), Constraint.parse("accuracy>=0.3")])
        told = drive(searcher, self.batches, self.batch)
        assert all(len(batch) == self.batch for batch in told)

    def test_failed_evaluations_are_not_repeated_and_never_parents(self) -> None:
        searcher = self.searcher()
        seen = set[Architecture]()
        for _ in range(self.batches):
            archs = searcher.ask(self.batch)
            assert seen.isdisjoint(archs)
            seen.update(archs)
            batch = trials(searcher, archs)
            broken: list[dict[str, float]] = [{}, {"accuracy": float("nan"), "macs": 1.0}]
            for i, metrics in enumerate(broken):
                batch[i] = Trial(batch[i].number, batch[i].arch, metrics, batch[i].batch)
            searcher.tell(batch)
            history = searcher.history
            assert history.failed[-self.batch :].tolist() == [True, True] + [False] * (self.batch - 2)
            assert not history.failed[history.population].any()

    def test_a_search_without_any_success_goes_on(self) -> None:
        searcher = self.searcher()
        for _ in range(3):
            archs = searcher.ask(self.batch)
            assert len(archs) == self.batch
            searcher.tell([Trial(i, arch, {}, 0) for i, arch in enumerate(archs)])

    def test_an_exhausted_space_yields_each_member_once_and_then_nothing(self) -> None:
        objectives = (Objective("accuracy", "max"), Objective("latency_ms", "min"))
        searcher = self.searcher(space=GridSpace(2, 3), objectives=objectives)
        told = drive(searcher, 4, 4)
        assert [len(batch) for batch in told] == [4, 4, 1, 0]
        assert len({trial.arch for batch in told for trial in batch}) == 9

    def test_wrong_use_is_refused(self) -> None:
        searcher = self.searcher()
        with pytest.raises(UsageError, match="at least 1 architecture"):
            searcher.ask(0)
        with pytest.raises(UsageError, match="another space"):
            searcher.tell([Trial(0, GridSpace(2, 3).largest(), {}, 0)])
        with pytest.raises(UsageError, match="trial 7 has no 'accuracy'"):
            searcher.tell([Trial(7, SPACE.largest(), {"macs": 1.0}, 0)])
        assert searcher.history.batch == 0
        assert len(searcher.history) == 0
