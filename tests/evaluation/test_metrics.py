from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.evaluation.metrics import DECLARED, TASK_METRICS
from nas.proxies import PROXIES
from nas.search_spaces import COSTS


def test_names_are_those_of_the_metrics() -> None:
    assert all(metric.name == name for name, metric in DECLARED.items())
    assert {*TASK_METRICS, *COSTS} <= {*DECLARED.values()}
    assert {metric.on_test().name for metric in TASK_METRICS} <= {*DECLARED}
    assert {*PROXIES} <= {*DECLARED}
    assert len(DECLARED) == len({*DECLARED})


def test_a_ranking_of_sets_is_no_metric() -> None:
    assert "te_nas" not in DECLARED
    with pytest.raises(UsageError, match="ranks a set"):
        DECLARED["te_nas"]
    with pytest.raises(KeyError):
        DECLARED["nothing"]


def test_objectives_are_read_without_torch() -> None:
    code = (
        "import sys\nfrom nas.objectives import Objective\n"
        "print(*map(Objective.parse, ['accuracy', 'macs', 'latency_ms', 'max:own', 'glue_sst']))\n"
        "try:\n    Objective.parse('gradsing')\nexcept Exception as error:\n    print(error)\n"
        "assert not {'torch', 'scipy', 'optuna', 'ray'} & {*sys.modules}"
    )
    root = Path(__file__).parent.parent.parent
    run = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines()[0] == "max:accuracy min:macs min:latency_ms max:own max:glue_sst"
    assert "'gradsign'" in run.stdout
