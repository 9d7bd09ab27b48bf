"""Searchers: ask for architectures, tell what they are worth. Needs no torch; Optuna only where its samplers ask."""

from __future__ import annotations

from functools import partial

from nas.errors import UnknownName
from nas.searchers.assisted import Assisted
from nas.searchers.coarse_to_fine import CoarseToFine
from nas.searchers.evolution import Evolution
from nas.searchers.history import History, Problem, Trial
from nas.searchers.local_search import LocalSearch
from nas.searchers.nsga2 import NSGA2
from nas.searchers.optuna_adapter import OptunaSampler
from nas.searchers.pareto import crowding_distance, hypervolume, knee, non_dominated_ranks, pareto_front
from nas.searchers.random import Random
from nas.searchers.searcher import Builder, Searcher
from nas.searchers.strategy import Strategy

__all__ = [
    "NSGA2",
    "SEARCHERS",
    "Assisted",
    "Builder",
    "CoarseToFine",
    "Evolution",
    "History",
    "LocalSearch",
    "OptunaSampler",
    "Problem",
    "Random",
    "Searcher",
    "Strategy",
    "Trial",
    "crowding_distance",
    "get",
    "hypervolume",
    "knee",
    "non_dominated_ranks",
    "pareto_front",
]

SEARCHERS: dict[str, Strategy] = {
    "random": Random(),
    "evolution": Evolution(),
    "nsga2": NSGA2(),
    "local": LocalSearch(),
    "coarse_to_fine": CoarseToFine(),
    "tpe": OptunaSampler("tpe", startup=10),
    "gp": OptunaSampler("gp", startup=10),
    "nsga3": OptunaSampler("nsga3", startup=50),
}


def get(name: str) -> Builder:
    """The searcher called `name` with its usual settings: `get(name)(space, objectives, constraints, seed=0)`.

    For other settings write `Searcher(space, objectives, constraints, seed=0, strategy=NSGA2(population=100))`.

    Raises:
        UnknownName: No such searcher.
    """
    if name not in SEARCHERS:
        raise UnknownName("searcher", name, SEARCHERS)
    return partial(Searcher, strategy=SEARCHERS[name])
