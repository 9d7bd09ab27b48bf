from __future__ import annotations

import subprocess
import sys

import pytest

from nas.errors import UnknownName, UsageError
from nas.objectives import Objective
from nas.searchers import SEARCHERS, Random, Searcher, get
from tests.searching import OBJECTIVES, SPACE


@pytest.mark.parametrize("name", SEARCHERS)
def test_every_name_builds_a_searcher(name: str) -> None:
    searcher = get(name)(SPACE, OBJECTIVES, (), seed=0)
    assert searcher.strategy == SEARCHERS[name]
    assert len(searcher.ask(3)) == 3


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown searcher 'nsga-2'\. Did you mean 'nsga2'"):
        get("nsga-2")


def test_goals_are_checked() -> None:
    with pytest.raises(UsageError, match="at least one objective"):
        Searcher(SPACE, [], seed=0, strategy=Random())
    with pytest.raises(UsageError, match="twice"):
        Searcher(SPACE, [Objective("macs", "min"), Objective("macs", "max")], seed=0, strategy=Random())
    with pytest.raises(UsageError, match="seed"):
        Searcher(SPACE, OBJECTIVES, seed=-1, strategy=Random())


def test_importing_searchers_loads_neither_torch_nor_optuna() -> None:
    code = "import sys, nas.searchers; print({'torch', 'optuna'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
