"""Optuna's samplers behind ask and tell."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName
from nas.search_spaces import Indices
from nas.searchers.history import History
from nas.searchers.strategy import Strategy, check_range, distinct

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "gp", "nsga3")


@final
@dataclass(frozen=True)
class OptunaSampler(Strategy):
    """One of Optuna's samplers on a study in memory that is made anew from the told trials for every ask.

    The sampler is new and seeded from (seed, batch) each time, so what it asks is a function of the told trials.
    Genes are categorical parameters, suggested one after the other, and only those that exist: two trials that
    differ differ in a parameter. A gene's existence may depend on genes before it only. Violations of measured
    bounds become Optuna's constraints; failed trials stay out of the study.

    Args:
        sampler: "tpe" (tree-structured Parzen estimator, of several objectives too), "gp" (Gaussian process; genes
            that exist in every told trial are modelled, the others are random; around a second for each member that
            is asked, and it loads torch) or "nsga3".
        startup: Trials drawn inside the budgets before the sampler begins; for "nsga3" also its population.

    Raises:
        UnknownName: No such sampler.
    """

    sampler: Literal["tpe", "gp", "nsga3"]
    startup: int

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UnknownName("Optuna sampler", self.sampler, SAMPLERS)
        check_range("startup", self.startup, 2)

    def survivors(self, history: History, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """Nobody: the sampler sees every trial."""
        return candidates[:0]

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        """The sampler's members; where they were told already or miss a budget, changed ones, then random ones."""
        problem = history.problem
        if len(history.succeeded) < self.startup:
            return distinct(history, rng, n, problem.sample)
        with _quiet():
            suggested = self._suggest(history, int(rng.integers(2**31)), n)

        def mutants(source: np.random.Generator, k: int) -> Indices:
            chosen = source.integers(len(suggested), size=k)
            return problem.space.mutate_indices(suggested[chosen], source, 0.0)

        return distinct(history, rng, n, lambda source, k: suggested, mutants, problem.sample)

    def _suggest(self, history: History, seed: int, n: int) -> Indices:
        """[>= n, D]: suggestions until `n` of them are usable, or a bound on their number is met."""
        sampler = self._make(seed)
        study = _study(history, sampler)
        rows: list[NDArray[np.int16]] = []
        usable: set[bytes] = set()
        while len(usable) < n and len(rows) < 2 * n + 4:
            rows.append(_suggested(history, study))
            key = rows[-1].tobytes()
            if not history.knows(key) and history.problem.within(rows[-1][None])[0]:
                usable.add(key)
        return np.array(rows, dtype=np.int16)

    def _make(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler, NSGAIIISampler, TPESampler

        if self.sampler == "tpe":
            return TPESampler(seed=seed, n_startup_trials=self.startup)
        if self.sampler == "gp":
            return GPSampler(seed=seed, n_startup_trials=self.startup, warn_independent_sampling=False)
        return NSGAIIISampler(seed=seed, population_size=self.startup)


@contextmanager
def _quiet() -> Iterator[None]:
    """No notes of experimental features and no log line for each study while Optuna works for us."""
    from optuna.exceptions import ExperimentalWarning

    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)


def _study(history: History, sampler: BaseSampler) -> Study:
    """A study in memory with every trial that did not fail, batch by batch."""
    import optuna
    from optuna.trial import create_trial

    problem = history.problem
    distributions = _distributions(history)
    study = optuna.create_study(
        storage=optuna.storages.InMemoryStorage(),
        sampler=sampler,
        study_name="search",
        directions=["minimize"] * len(problem.objectives),
    )
    measured = [i for i, constraint in enumerate(problem.constraints) if constraint in problem.measured]
    for batch in range(history.batch):
        attributes = _attributes(study, sampler)
        for i in np.flatnonzero((history.batches == batch) & ~history.failed):
            params = {name: int(c) for name, c in zip(problem.space.names, history.rows[i], strict=True) if c >= 0}
            study.add_trial(
                create_trial(
                    params=params,
                    distributions={name: distributions[name] for name in params},
                    values=history.values[i].tolist(),
                    constraints={str(problem.constraints[c]): float(history.violations[i, c]) for c in measured},
                    system_attrs=dict(attributes),  # constraints are added to it
                )
            )
    return study


def _attributes(study: Study, sampler: BaseSampler) -> dict[str, object]:
    """What the sampler notes on every trial of the next batch: a genetic one, the generation it belongs to."""
    from optuna.samplers import BaseGASampler
    from optuna.trial import TrialState, create_trial

    if not isinstance(sampler, BaseGASampler):
        return {}
    study.add_trial(create_trial(state=TrialState.RUNNING))
    probe = study.get_trials(deepcopy=False)[-1]
    sampler.get_trial_generation(study, probe)
    noted = dict(study.get_trials(deepcopy=False)[-1].system_attrs)
    study.tell(probe.number, state=TrialState.FAIL)
    return noted


def _distributions(history: History) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution

    return {gene.name: CategoricalDistribution(range(len(gene.choices))) for gene in history.problem.space.genes}


def _suggested(history: History, study: Study) -> NDArray[np.int16]:
    """[D]: one suggestion. Its trial stays open, so that samplers that see open trials look elsewhere next."""
    space = history.problem.space
    trial = study.ask()
    row: Indices = np.zeros((1, len(space.genes)), dtype=np.int16)
    for d, gene in enumerate(space.genes):
        if space.exists(row)[0, d]:
            row[0, d] = trial.suggest_categorical(gene.name, range(len(gene.choices)))
    suggested: NDArray[np.int16] = space.canonical(row)[0]
    return suggested
