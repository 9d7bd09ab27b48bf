from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from torch import nn

from nas.errors import ContractError
from nas.search_spaces import Architecture, Indices, SearchSpace, get
from nas.searchers import History, Random, Searcher
from nas.supernets import MobileNetSupernet, Statistics
from nas.testing import check_searcher, check_space, check_supernet
from nas.testing.spaces import MadeSpace, nested
from tests.spaces import BASE, space


def test_a_good_space_passes() -> None:
    check_space(get("nasbench201"))


def test_a_space_that_is_read_back_otherwise_is_named() -> None:
    def other(text: str) -> SearchSpace:
        return MadeSpace(nested().genes[:1])

    with pytest.raises(ContractError, match=r"^space 'made' breaks a promise: Its JSON gives an equal space") as error:
        check_space(nested(), read_back=other)
    assert "\n" not in str(error.value)


def test_a_good_searcher_passes() -> None:
    check_searcher(partial(Searcher, strategy=Random()))


@dataclass(frozen=True)
class Stuck(Random):
    """Asks for the smallest member, again and again."""

    def propose(self, history: History, rng: np.random.Generator, n: int) -> Indices:
        return np.zeros((n, len(history.problem.space.genes)), dtype=np.int16)


def test_a_searcher_that_repeats_itself_is_named() -> None:
    with pytest.raises(ContractError, match="asks for members that were not asked before"):
        check_searcher(partial(Searcher, strategy=Stuck()))


class Careless(MobileNetSupernet):
    """Extracts the smallest member, whoever is asked for."""

    def extract(self, arch: Architecture, statistics: Statistics | None = None) -> nn.Module:
        return super().extract(self.space.smallest())


def small() -> Any:
    return space(replace(BASE, resolutions=(8,), stages=BASE.stages[:1]))


def test_a_good_supernet_passes_and_is_left_as_it_is() -> None:
    supernet = MobileNetSupernet(small(), seed=0)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    check_supernet(supernet)
    assert supernet.training
    assert all(value.equal(before[name]) for name, value in supernet.state_dict().items())


def test_a_supernet_that_extracts_something_else_is_named() -> None:
    with pytest.raises(ContractError, match="of space 'mobilenet' breaks a promise: Law 1"):
        check_supernet(Careless(small(), seed=0))


def test_checks_need_no_pytest() -> None:
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None\n"
        "from nas.testing import check_searcher, check_space\n"
        "from nas.testing.spaces import nested\n"
        "check_space(nested(), read_back=lambda text: nested())\n"
        "assert 'torch' not in sys.modules\n"
        "import nas.testing.supernet"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_checks_refuse_to_run_without_assertions() -> None:
    code = "from nas.testing import check_space\nfrom nas.testing.spaces import nested\ncheck_space(nested())"
    result = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "run them without -O" in result.stderr
