from __future__ import annotations

import json
from pathlib import Path

from nas.objectives import Constraint
from nas.reports.document import search_document
from tests.reports.trials import ARCHS, GOALS, trials_of


def test_what_a_program_reads() -> None:
    trials = trials_of([(0.5, 1.0), (None, 0.0), (0.88, 2.0), (0.7, 2.5), (0.92, 9.0)])
    bound = Constraint("macs", "<=", 8.0)
    document = search_document(trials, GOALS, [bound], out=Path("results/run"), wall_s=1.5, new=2)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    member = {"digest": ARCHS[0].digest, "arch": ARCHS[0].to_json(), "metrics": {"accuracy": 0.5, "macs": 1.0}}
    assert document["front"][0] == member
    assert [m["digest"] for m in document["front"]] == [ARCHS[0].digest, ARCHS[2].digest]
    assert document["best"]["digest"] == ARCHS[2].digest
    assert document["knee"]["digest"] in {m["digest"] for m in document["front"]}
    rest = {key: value for key, value in document.items() if key not in ("front", "best", "knee")}
    assert rest == {
        "trials": 5, "new": 2, "failed": 1, "stopped": 0, "feasible": 3, "exhausted": False,
        "objectives": ["max:accuracy", "min:macs"], "constraints": ["macs<=8"], "out": str(Path("results/run")),
        "wall_s": 1.5,
    }  # fmt: skip


def test_nothing_found() -> None:
    document = search_document(trials_of([(None,)]), GOALS, out=None, wall_s=0.0)
    assert (document["front"], document["best"], document["knee"], document["out"]) == ([], None, None, None)
