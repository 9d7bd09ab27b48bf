"""What every searcher promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.errors import InfeasibleBudget, UsageError
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.searchers import Builder, Searcher, Trial
from nas.testing.promises import Promise, refused, require_all
from nas.testing.spaces import grid, layered

OBJECTIVES = (Objective("accuracy", "max"), Objective("macs", "min"))


def check_searcher(builder: Builder, *, batch: int = 6, batches: int = 5) -> None:
    """Check that a searcher keeps its contract.

    Args:
        builder: Makes it, as `nas.searchers.get` does or `functools.partial(Searcher, strategy=...)`.
        batch: Architectures of an ask.
        batches: How many asks; together they should go well past its first population.

    Raises:
        ContractError: Names the first promise that is broken.
    """
    require_all("this searcher", SearcherCase(builder, batch, batches), PROMISES)


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


@dataclass(frozen=True, slots=True)
class SearcherCase:
    """How a searcher is made, and how long it is watched."""

    builder: Builder
    batch: int
    batches: int

    def searcher(
        self, constraints: Sequence[Constraint] = (), *, space: SearchSpace | None = None,
        objectives: Sequence[Objective] = OBJECTIVES, seed: int = 0,
    ) -> Searcher:  # fmt: skip
        """A new one; without a space on `layered`."""
        return self.builder(layered() if space is None else space, objectives, constraints, seed=seed)

    def told(self, searcher: Searcher) -> list[Trial]:
        """The trials of a whole search."""
        told = drive(searcher, self.batches, self.batch)
        assert [len(batch) for batch in told] == [self.batch] * self.batches
        return [trial for batch in told for trial in batch]


def asks_new_members_only(case: SearcherCase, seed: int) -> None:
    """It asks for members that were not asked before, as many as are wanted."""
    searcher = case.searcher(objectives=OBJECTIVES[: seed + 1])
    archs = [trial.arch for trial in case.told(searcher)]
    assert len(set(archs)) == len(archs)
    assert all(arch in searcher.history.problem.space for arch in archs)


def asking_again_gives_the_same(case: SearcherCase, seed: int) -> None:
    """Asking again before a tell gives the same."""
    searcher = case.searcher()
    for _ in range(case.batches):
        first = searcher.ask(case.batch)
        assert searcher.ask(case.batch) == first
        searcher.tell(trials(searcher, first))


def told_batches_are_the_whole_state(case: SearcherCase, seed: int) -> None:
    """Told batches are its whole state."""
    searcher, resumed = case.searcher(seed=3), case.searcher(seed=3)
    for batch in drive(searcher, case.batches, case.batch):
        resumed.tell(batch)
    assert resumed.ask(case.batch) == searcher.ask(case.batch)


def the_seed_and_the_batch_fix_the_draws(case: SearcherCase, seed: int) -> None:
    """The seed and the number of the batch fix every draw."""
    assert case.searcher(seed=1).ask(8) == case.searcher(seed=1).ask(8)
    assert case.searcher(seed=1).ask(8) != case.searcher(seed=2).ask(8)
    later = case.searcher(seed=1)
    later.tell([])
    assert later.ask(8) != case.searcher(seed=1).ask(8)


def budgets_are_met(case: SearcherCase, seed: int) -> None:
    """Everything that it asks for meets the budgets."""
    space = layered()
    costs = space.costs_of(space.sample_choices(np.random.default_rng(0), 200))
    low, middle, high = ({name: int(np.quantile(costs[name], q)) for name in costs} for q in (0.3, 0.5, 0.7))
    texts = (
        [f"macs<={low['macs']}"], [f"params>={high['params']}"],
        [f"macs<={high['macs']}", f"params<={middle['params']}"],
    )[seed]  # fmt: skip
    constraints = [Constraint.parse(text) for text in texts]
    asked = case.told(case.searcher(constraints))
    for constraint in constraints:
        assert not any(constraint.violation(trial.metrics[constraint.metric]) for trial in asked), constraint


def an_impossible_budget_is_refused(case: SearcherCase, seed: int) -> None:
    """An impossible budget is refused."""
    with refused(InfeasibleBudget, "smallest reachable"):
        case.searcher([Constraint.parse("macs<=10")]).ask(2)


def bounds_on_measured_metrics_are_accepted(case: SearcherCase, seed: int) -> None:
    """Bounds on measured metrics are accepted."""
    case.told(case.searcher([Constraint.parse("latency_ms<=2"), Constraint.parse("accuracy>=0.3")]))


def failures_are_not_repeated(case: SearcherCase, seed: int) -> None:
    """Failed evaluations are not repeated and are never parents."""
    searcher = case.searcher()
    seen = set[Architecture]()
    for _ in range(case.batches):
        archs = searcher.ask(case.batch)
        assert seen.isdisjoint(archs)
        seen.update(archs)
        batch = trials(searcher, archs)
        broken: list[dict[str, float]] = [{}, {"accuracy": float("nan"), "macs": 1.0}]
        for i, metrics in enumerate(broken):
            batch[i] = Trial(batch[i].number, batch[i].arch, metrics, batch[i].batch)
        searcher.tell(batch)
        history = searcher.history
        assert history.failed[-case.batch :].tolist() == [True, True] + [False] * (case.batch - 2)
        assert not history.failed[history.population].any()


def it_goes_on_without_success(case: SearcherCase, seed: int) -> None:
    """A search without any success goes on."""
    searcher = case.searcher()
    for _ in range(3):
        archs = searcher.ask(case.batch)
        assert len(archs) == case.batch
        searcher.tell([Trial(i, arch, {}, 0) for i, arch in enumerate(archs)])


def an_exhausted_space_ends_the_search(case: SearcherCase, seed: int) -> None:
    """An exhausted space yields each member once and then nothing."""
    objectives = (Objective("accuracy", "max"), Objective("latency_ms", "min"))
    told = drive(case.searcher(space=grid(2, 3), objectives=objectives), 4, 4)
    assert [len(batch) for batch in told] == [4, 4, 1, 0]
    assert len({trial.arch for batch in told for trial in batch}) == 9


def wrong_use_is_refused(case: SearcherCase, seed: int) -> None:
    """Wrong use is refused and changes nothing."""
    searcher = case.searcher()
    with refused(UsageError, "at least 1 architecture"):
        searcher.ask(0)
    with refused(UsageError, "another space"):
        searcher.tell([Trial(0, grid(2, 3).largest(), {}, 0)])
    with refused(UsageError, "trial 7 has no 'accuracy'"):
        searcher.tell([Trial(7, layered().largest(), {"macs": 1.0}, 0)])
    assert searcher.history.batch == 0
    assert len(searcher.history) == 0


PROMISES: tuple[Promise[SearcherCase], ...] = (
    Promise(asks_new_members_only, draws=2),
    Promise(asking_again_gives_the_same),
    Promise(told_batches_are_the_whole_state),
    Promise(the_seed_and_the_batch_fix_the_draws),
    Promise(budgets_are_met, draws=3),
    Promise(an_impossible_budget_is_refused),
    Promise(bounds_on_measured_metrics_are_accepted),
    Promise(failures_are_not_repeated),
    Promise(it_goes_on_without_success),
    Promise(an_exhausted_space_ends_the_search),
    Promise(wrong_use_is_refused),
)
