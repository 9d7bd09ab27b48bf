"""NSGA-II beside pymoo's: equal ranks and crowding, the hypervolume both reach on ZDT1-3, and the time of a sort.

Run `python -m benchmarks.nsga2`; rows that are there already are skipped.

The ZDT problems have 30 variables of 33 levels. Both sides have the same population, number of evaluations, binary
tournament, uniform crossover (chance .9), mutation (every variable takes another level with chance 1/30, at least one
does), uniform integer first population, and no duplicates. "pymoo" has its tournament by rank and crowding, which is
ours and the paper's; "pymoo_default" has pymoo's own, by dominance and crowding, which selects less. The figure is the
hypervolume of the last population up to the reference point (1.1, 1.1). Random search with as many evaluations is the
baseline; its figure is the whole history.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2  # noqa: N811 - a class of pymoo's in capitals
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
from pymoo.optimize import minimize
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from benchmarks import rows
from benchmarks.zdt import unit, zdt
from nas.objectives import Objective
from nas.searchers import NSGA2, Random, Searcher, Strategy, Trial, crowding_distance, hypervolume, non_dominated_ranks
from nas.searchers.pareto import ranks_by_peeling
from nas.testing.spaces import grid

GENES, LEVELS, POPULATION = 30, 33, 100
SEEDS = {250: 60, 500: 5}  # by number of generations
BASELINE_SEEDS = 20  # at most so many for the sides that the ratio does not need
REFERENCE = np.array([1.1, 1.1])
CROSSOVER = 0.9
OBJECTIVES = (Objective("loss", "min"), Objective("latency_ms", "min"))
Floats = NDArray[np.float64]


def run(strategy: Strategy, problem: int, seed: int, generations: int) -> Searcher:
    """A search of ours over ask and tell."""
    space = grid(GENES, LEVELS)
    searcher = Searcher(space, OBJECTIVES, seed=seed, strategy=strategy)
    for batch in range(generations):
        archs = searcher.ask(POPULATION)
        values = zdt(problem, unit(space.indices(archs), LEVELS)).tolist()
        pairs = enumerate(zip(archs, values, strict=True))
        searcher.tell([Trial(i, arch, {"loss": a, "latency_ms": b}, batch) for i, (arch, (a, b)) in pairs])
    return searcher


def ours(problem: int, seed: int, generations: int) -> Floats:
    """[N, 2] of our NSGA-II's last population."""
    history = run(NSGA2(POPULATION, CROSSOVER), problem, seed, generations).history
    return history.values[history.population]


def random_search(problem: int, seed: int, generations: int) -> Floats:
    """[N, 2] of everything that random search saw."""
    return run(Random(), problem, seed, generations).history.values


class Grid(PymooProblem):  # type: ignore[misc]
    """A ZDT problem on the grid, for pymoo."""

    def __init__(self, problem: int) -> None:
        super().__init__(n_var=GENES, n_obj=2, xl=0, xu=LEVELS - 1, vtype=int)
        self.problem = problem

    def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        out["F"] = zdt(self.problem, unit(x.astype(np.int16), LEVELS))


class OtherLevel(Mutation):  # type: ignore[misc]
    """Our mutation as an operator of pymoo's."""

    def _do(
        self,
        problem: Grid,
        X: NDArray[np.int64],  # noqa: N803
        *args: Any,
        random_state: np.random.Generator,
        **kwargs: Any,
    ) -> NDArray[np.int64]:
        change = random_state.random(X.shape) < 1 / GENES
        forced = random_state.integers(GENES, size=len(X))
        bare = np.flatnonzero(~change.any(axis=1))
        change[bare, forced[bare]] = True
        return np.where(change, (X + random_state.integers(1, LEVELS, size=X.shape)) % LEVELS, X)


def pymoos(problem: int, seed: int, generations: int, tournament: str = "comp_by_rank_and_crowding") -> Floats:
    """[N, 2] of pymoo's last population."""
    algorithm = PymooNSGA2(
        pop_size=POPULATION,
        sampling=IntegerRandomSampling(),
        crossover=UniformCrossover(prob=CROSSOVER),
        mutation=OtherLevel(prob=1.0),
        eliminate_duplicates=True,
    )
    algorithm.tournament_type = tournament
    result = minimize(Grid(problem), algorithm, ("n_gen", generations), seed=seed)
    values: Floats = result.pop.get("F").astype(np.float64)
    return values


def pymoos_default(problem: int, seed: int, generations: int) -> Floats:
    """[N, 2] of pymoo's last population with its default tournament."""
    return pymoos(problem, seed, generations, "comp_by_dom_and_crowding")


SIDES: dict[str, Callable[[int, int, int], Floats]] = {
    "nas": ours,
    "pymoo": pymoos,
    "pymoo_default": pymoos_default,
    "random": random_search,
}


def ratio_interval(a: Floats, b: Floats) -> tuple[float, float, float]:
    """mean(a) / mean(b) with its 95 % bootstrap interval; seeds of the two sides are not paired."""
    rng = np.random.default_rng(0)
    draws = [rng.choice(side, size=(10_000, len(side))).mean(axis=1) for side in (a, b)]
    low, high = np.quantile(draws[0] / draws[1], [0.025, 0.975])
    return float(a.mean() / b.mean()), float(low), float(high)


def hypervolumes() -> None:
    for generations, seeds in SEEDS.items():
        for problem in (1, 2, 3):
            found: dict[str, list[float]] = {side: [] for side in SIDES}
            for seed in range(seeds):
                for side, search in SIDES.items():
                    if side not in ("nas", "pymoo") and seed >= BASELINE_SEEDS:
                        continue
                    key = {"what": "zdt", "problem": problem, "side": side, "generations": generations, "seed": seed}
                    values = rows.finished("nsga2", key)
                    if values is None:
                        start = time.perf_counter()
                        volume = hypervolume(search(problem, seed, generations), REFERENCE)
                        values = {"hypervolume": volume, "wall_s": round(time.perf_counter() - start, 3)}
                        rows.append("nsga2", key, values)
                    found[side].append(values["hypervolume"])
            summarise(problem, generations, {side: np.array(volumes) for side, volumes in found.items()})


def summarise(problem: int, generations: int, found: dict[str, Floats]) -> None:
    """One row for a problem: means and the ratio to pymoo."""
    key = {"what": "zdt ratio", "problem": problem, "generations": generations, "seeds": len(found["nas"]),
           "population": POPULATION, "variables": GENES, "levels": LEVELS, "reference": REFERENCE.tolist()}  # fmt: skip
    ratio, low, high = ratio_interval(found["nas"], found["pymoo"])
    values = {f"hypervolume_{side}": float(volumes.mean()) for side, volumes in found.items()}
    values |= {"ratio_to_pymoo": ratio, "ratio_low_95": low, "ratio_high_95": high}
    print(f"ZDT{problem} {generations} generations", values)
    if rows.finished("nsga2", key) != values:
        rows.append("nsga2", key, values)


def agreement() -> None:
    """Ranks and crowding of random points, with ties and duplicates, beside pymoo's."""
    key = {"what": "ranks and crowding equal pymoo's", "seed": 0}
    if rows.finished("nsga2", key):
        return
    crowding, sort, rng = get_crowding_function("cd"), NonDominatedSorting(), np.random.default_rng(0)
    cases = wrong_ranks = 0
    worst = 0.0
    for goals in (1, 2, 3, 5):
        for points in (1, 2, 3, 10, 200, 1000):
            for levels in (3, 20, None):
                values = (
                    rng.random((points, goals)) if levels is None else rng.integers(levels, size=(points, goals)) / 2
                )
                fronts, expected = sort.do(values, return_rank=True)
                ranks = non_dominated_ranks(values)
                wrong_ranks += int((ranks != expected).sum())
                distance = crowding_distance(values, ranks)
                for front in fronts:
                    reference = crowding.do(values[front])
                    same = np.isinf(reference)
                    if (np.isinf(distance[front]) != same).any():
                        worst = float("inf")
                    difference = np.abs(distance[front][~same] - reference[~same])
                    worst = max(worst, float(difference.max(initial=0.0)))
                cases += 1
    summary = {"point_sets": cases, "ranks_that_differ": wrong_ranks, "crowding_largest_difference": worst}
    print("agreement with pymoo", summary)
    rows.append("nsga2", key, summary)


def milliseconds(function: Callable[[], object], repeats: int = 30) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(times)), 3)


def timing() -> None:
    """The sort of 1,000 random points, ours and pymoo's, in turns within one run."""
    for goals in (2, 3):
        key = {"what": "sort of 1,000 points", "objectives": goals, "seeds": 3}
        if rows.finished("nsga2", key):
            continue
        measured: dict[str, list[float]] = {"nas_ms": [], "nas_matrix_ms": [], "pymoo_ms": []}
        for seed in range(3):
            points = np.random.default_rng(seed).random((1000, goals))
            measured["nas_ms"].append(milliseconds(lambda p=points: non_dominated_ranks(p)))  # type: ignore[misc]
            measured["nas_matrix_ms"].append(milliseconds(lambda p=points: ranks_by_peeling(p)))  # type: ignore[misc]
            measured["pymoo_ms"].append(milliseconds(lambda p=points: NonDominatedSorting().do(p)))  # type: ignore[misc]
        values = {name: float(np.median(times)) for name, times in measured.items()}
        print(f"sort of 1,000 points, {goals} objectives", values)
        rows.append("nsga2", key, values)


if __name__ == "__main__":
    agreement()
    timing()
    hypervolumes()
