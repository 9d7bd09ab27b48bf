from __future__ import annotations

import numpy as np
import pytest

from benchmarks.zdt import unit, zdt
from nas.errors import InfeasibleBudget, UsageError
from nas.objectives import Constraint, Objective
from nas.searchers import NSGA2, Random, Searcher, Strategy, Trial, hypervolume, non_dominated_ranks
from nas.testing import SearcherContract
from nas.testing.searcher import drive, trials
from nas.testing.spaces import grid
from tests.searching import OBJECTIVES, SPACE


class TestNSGA2(SearcherContract):
    strategy = NSGA2(population=8)


class TestNSGA2WithEarlyExit(SearcherContract):
    strategy = NSGA2(population=8, beta=12_000)


def volume(searcher: Searcher) -> float:
    """Of accuracy and macs, up to accuracy 0 and the largest network."""
    scale = np.array([1.0, SPACE.cost(SPACE.largest()).macs])
    return hypervolume(searcher.history.values / scale, np.array([0.0, 1.0]))


def test_it_finds_a_better_front_than_random_search() -> None:
    def mean(strategy: Strategy) -> float:
        volumes = []
        for seed in range(4):
            searcher = Searcher(SPACE, OBJECTIVES, seed=seed, strategy=strategy)
            drive(searcher, 15, 20)
            volumes.append(volume(searcher))
        return float(np.mean(volumes))

    assert mean(NSGA2(population=20)) > 1.01 * mean(Random())


@pytest.mark.parametrize("problem", [1, 2, 3])
def test_the_population_improves_on_zdt(problem: int) -> None:
    space = grid(10, 17)
    objectives = (Objective("loss", "min"), Objective("latency_ms", "min"))
    searcher = Searcher(space, objectives, seed=0, strategy=NSGA2(population=20))
    volumes = []
    for batch in range(40):
        archs = searcher.ask(20)
        values = zdt(problem, unit(space.indices(archs), 17))
        pairs = zip(archs, values.tolist(), strict=True)
        searcher.tell([Trial(i, a, {"loss": x, "latency_ms": y}, batch) for i, (a, (x, y)) in enumerate(pairs)])
        population = searcher.history.values[searcher.history.population]
        volumes.append(hypervolume(population, np.array([1.1, 8.0])))
    assert volumes[-1] > 1.2 * volumes[0]
    assert volumes[-1] > 0.95 * {1: 8.27, 2: 7.93, 3: 8.7}[problem]


def test_survival_keeps_the_best_ranks() -> None:
    searcher = Searcher(SPACE, OBJECTIVES, seed=0, strategy=NSGA2(population=10))
    drive(searcher, 1, 10)
    old = searcher.history.population
    batch = trials(searcher, searcher.ask(10))
    searcher.tell(batch)
    history = searcher.history
    pool = np.concatenate([old, np.arange(10, 20)])
    ranks = dict(zip(pool.tolist(), non_dominated_ranks(history.values[pool]).tolist(), strict=True))
    kept = [ranks[i] for i in history.population.tolist()]
    dropped = [ranks[i] for i in pool.tolist() if i not in history.population]
    assert len(kept) == 10
    assert kept == sorted(kept)
    assert max(kept) <= min(dropped)


def test_failed_trials_take_no_place_in_the_population() -> None:
    searcher = Searcher(SPACE, OBJECTIVES, seed=0, strategy=NSGA2(population=6))
    while len(searcher.history.population) < 6:
        batch = trials(searcher, searcher.ask(4))
        searcher.tell([Trial(t.number, t.arch, t.metrics if i % 2 else {}, t.batch) for i, t in enumerate(batch)])
    assert len(searcher.history) == 12


def test_the_early_exit_limits_the_first_population_only() -> None:
    searcher = Searcher(SPACE, OBJECTIVES, seed=0, strategy=NSGA2(population=20, beta=8_000))
    first, *later = drive(searcher, 10, 20)
    assert max(trial.metrics["params"] for trial in first) <= 8_000
    assert max(trial.metrics["params"] for batch in later for trial in batch) > 8_000


def test_an_early_exit_that_nobody_passes_is_refused() -> None:
    with pytest.raises(InfeasibleBudget, match="params"):
        Searcher(SPACE, OBJECTIVES, seed=0, strategy=NSGA2(beta=10)).ask(1)


def test_a_measured_bound_draws_the_population_inside() -> None:
    bound = [Constraint.parse("latency_ms<=1.5")]
    searcher = Searcher(SPACE, OBJECTIVES, bound, seed=0, strategy=NSGA2(population=12))
    drive(searcher, 1, 12)
    assert searcher.history.violation[searcher.history.population].max() > 0
    drive(searcher, 9, 12)
    assert searcher.history.violation[searcher.history.population].max() == 0


@pytest.mark.parametrize("settings", [{"population": 1}, {"crossover_rate": -0.1}, {"mutation_rate": 2}])
def test_wrong_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(settings))} must be"):
        NSGA2(**settings)
