from __future__ import annotations

import logging

import numpy as np
import pytest

from nas.errors import UnknownName
from nas.objectives import Constraint
from nas.searchers import OptunaSampler, Random, Searcher, Strategy, hypervolume
from nas.searchers.optuna_adapter import _quiet, _study
from nas.testing import SearcherContract
from nas.testing.searcher import drive
from tests.searching import OBJECTIVES, SPACE


class TestTPE(SearcherContract):
    strategy = OptunaSampler("tpe", startup=6)


class TestNSGA3(SearcherContract):
    strategy = OptunaSampler("nsga3", startup=6)


class TestGP(SearcherContract):
    strategy = OptunaSampler("gp", startup=4)
    batch = 3
    batches = 2


@pytest.mark.parametrize("strategy", [OptunaSampler("tpe", 10), OptunaSampler("nsga3", 20)], ids=["tpe", "nsga3"])
def test_it_learns(strategy: Strategy) -> None:
    def mean(tried: Strategy) -> float:
        volumes = []
        for seed in range(3):
            searcher = Searcher(SPACE, OBJECTIVES, seed=seed, strategy=tried)
            drive(searcher, 8, 15)
            values = searcher.history.values / np.array([1.0, SPACE.cost(SPACE.largest()).macs])
            volumes.append(hypervolume(values, np.array([0.0, 1.0])))
        return float(np.mean(volumes))

    assert mean(strategy) > mean(Random())


def test_the_study_holds_every_success_with_its_genes_and_violations() -> None:
    bounds = [Constraint.parse("params<=1e6"), Constraint.parse("latency_ms<=1")]
    strategy = OptunaSampler("tpe", 4)
    searcher = Searcher(SPACE, OBJECTIVES, bounds, seed=0, strategy=strategy)
    told = [trial for batch in drive(searcher, 2, 4) for trial in batch]
    study = _study(searcher.history, strategy._make(0))
    assert len(study.trials) == 8
    for trial, kept in zip(told, study.trials, strict=True):
        assert kept.values == [-trial.metrics["accuracy"], trial.metrics["macs"]]
        assert set(kept.params) == set(trial.arch.genes)
        assert list(kept.constraints) == ["latency_ms<=1"]
        assert kept.constraints["latency_ms<=1"] == pytest.approx(max(0.0, trial.metrics["latency_ms"] - 1))


def test_genetic_samplers_get_one_generation_for_each_full_population() -> None:
    strategy = OptunaSampler("nsga3", 6)
    searcher = Searcher(SPACE, OBJECTIVES, seed=0, strategy=strategy)
    drive(searcher, 6, 4)
    with _quiet():
        study = _study(searcher.history, strategy._make(0))
    done = [t for t in study.trials if t.values is not None]
    generations = [value for t in done for key, value in t.system_attrs.items() if "generation" in key]
    # A generation ends with the batch that fills it.
    assert generations == [0] * 8 + [1] * 8 + [2] * 8


def test_it_leaves_optunas_log_level_alone(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("optuna").level
    drive(Searcher(SPACE, OBJECTIVES, seed=0, strategy=OptunaSampler("tpe", 4)), 2, 4)
    assert logging.getLogger("optuna").level == before
    assert not caplog.records


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'tpe'"):
        OptunaSampler("tpee", 4)  # type: ignore[arg-type]
