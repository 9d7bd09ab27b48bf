from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import ledger
from nas.cluster import RayEvaluator
from nas.errors import NasError, UsageError, WorkersLost
from nas.evaluation import Failure, StreamingEvaluator
from nas.search_spaces import Architecture
from tests.cluster import fakes
from tests.searching import plain, study
from tests.spaces import SPACES

SPACE = SPACES["learned"]
ARCHS = list(dict.fromkeys(SPACE.architectures(SPACE.sample_choices(np.random.default_rng(0), 150))))
Pool = Callable[..., RayEvaluator]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """One Ray of two CPUs for this module."""
    ray = pytest.importorskip("ray", reason="evaluation on workers needs Ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield ray
        ray.shutdown()


@pytest.fixture
def pool(ray: Any, tmp_path: Path) -> Iterator[Pool]:
    """Pools of fakes that take no CPU; words beyond `workers` and `batch` are the fake's."""
    made: list[RayEvaluator] = []

    def make(workers: int = 2, batch: int = 8, **words: object) -> RayEvaluator:
        arguments = {"folder": str(tmp_path), "words": words}
        made.append(RayEvaluator(fakes.build_fake, arguments, workers=workers, batch=batch, cpus=0))
        return made[-1]

    yield make
    for evaluator in made:
        evaluator.close()
    assert ray.is_initialized()


def expected(archs: list[Architecture], failed: Architecture | None = None) -> list[dict[str, float] | None]:
    return [None if arch == failed else fakes.metrics_of(arch) for arch in archs]


def metrics(outcomes: list[Any]) -> list[dict[str, float] | None]:
    return [None if isinstance(outcome, Failure) else outcome for outcome in outcomes]


def test_outcomes_come_in_asked_order_and_each_architecture_travels_once(pool: Pool, tmp_path: Path) -> None:
    evaluator = pool()
    asked = [*ARCHS[:30], *ARCHS[10:20]]
    found = evaluator.evaluate(asked)
    assert found == expected(asked)
    assert found[10] is not found[30]
    assert Counter(digest for call in fakes.calls(tmp_path) for digest in call) == Counter(
        arch.digest for arch in ARCHS[:30]
    )
    assert max(map(len, fakes.calls(tmp_path))) <= 8
    assert evaluator.totals.architectures == 40
    assert evaluator.totals.seconds > 0
    assert evaluator.totals == evaluator.totals
    assert evaluator.evaluate([]) == []
    assert evaluator.alive == 2


def test_submitted_batches_come_back_whole_as_they_finish(pool: Pool) -> None:
    evaluator = pool(workers=2)
    assert isinstance(evaluator, StreamingEvaluator)
    assert evaluator.slots == 2
    parts = [ARCHS[:12], [ARCHS[20], ARCHS[20]], ARCHS[30:33]]
    for part in parts:
        evaluator.submit(part)
    assert evaluator.evaluate(ARCHS[40:50]) == expected(ARCHS[40:50])
    for _ in range(3):
        pairs = evaluator.collect()
        archs = [arch for arch, _ in pairs]
        parts.remove(archs)
        assert [outcome for _, outcome in pairs] == expected(archs)
    with pytest.raises(UsageError, match="nothing was submitted"):
        evaluator.collect()


def test_an_architecture_that_kills_its_worker_is_given_up_alone(pool: Pool, tmp_path: Path) -> None:
    victim = ARCHS[5]
    evaluator = pool(workers=1, deadly=frozenset({victim.digest}))
    found = evaluator.evaluate(ARCHS[:8])
    assert metrics(found) == expected(ARCHS[:8], failed=victim)
    assert isinstance(found[5], Failure)
    assert "worker died" in found[5].reason
    assert "\n" not in found[5].reason
    guilty = [call for call in fakes.calls(tmp_path) if victim.digest in call]
    assert sorted(len(call) for call in guilty) == [1, 1, 1, 2, 4, 8]
    assert evaluator.evaluate(ARCHS[8:16]) == expected(ARCHS[8:16])


def test_submitted_batches_survive_deaths_too(pool: Pool) -> None:
    victim = ARCHS[1]
    evaluator = pool(workers=1, deadly=frozenset({victim.digest}))
    evaluator.submit(ARCHS[:2])
    evaluator.submit(ARCHS[2:6])
    found = dict(evaluator.collect() + evaluator.collect())
    assert metrics([found[arch] for arch in ARCHS[:6]]) == expected(ARCHS[:6], failed=victim)


def test_out_of_memory_halves_the_batch(pool: Pool, tmp_path: Path) -> None:
    hungry = ARCHS[3]
    evaluator = pool(most=2, hungry=frozenset({hungry.digest}))
    found = evaluator.evaluate(ARCHS[:16])
    assert metrics(found) == expected(ARCHS[:16], failed=hungry)
    assert isinstance(found[3], Failure)
    assert found[3].reason == "out of memory: no room for 1 (3 times)"
    assert [call for call in fakes.calls(tmp_path) if call == [hungry.digest]] == [[hungry.digest]] * 3
    assert len(fakes.workers(tmp_path)) <= 2  # no process had to die


def test_errors_of_an_evaluator(pool: Pool) -> None:
    refused, misused, broken = ARCHS[2], ARCHS[20], ARCHS[30]
    evaluator = pool(
        refused=frozenset({refused.digest}), misused=frozenset({misused.digest}), broken=frozenset({broken.digest})
    )
    found = evaluator.evaluate(ARCHS[:16])
    assert metrics(found) == expected(ARCHS[:16], failed=refused)
    assert found[2] == Failure("refused, in one line")
    with pytest.raises(UsageError, match="misused, in one line"):
        evaluator.evaluate(ARCHS[16:26])
    with pytest.raises(RuntimeError, match="ValueError: a fault in the program"):
        evaluator.evaluate(ARCHS[26:36])
    assert evaluator.evaluate(ARCHS[36:60]) == expected(ARCHS[36:60])


@contextmanager
def deaths(folder: Path, every_s: float) -> Iterator[list[int]]:
    """Kills a random worker every so often; gives the process ids."""
    over, killed, rng = threading.Event(), list[int](), random.Random(0)

    def kill() -> None:
        while not over.wait(every_s):
            alive = sorted(set(fakes.workers(folder)) - set(killed))
            if not alive:  # all are being replaced
                continue
            victim = rng.choice(alive)
            killed.append(victim)
            os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_random_deaths_change_nothing(pool: Pool, tmp_path: Path) -> None:
    evaluator = pool(workers=2, cost_s=0.02)
    with deaths(tmp_path, every_s=0.7) as killed:
        found = [evaluator.evaluate(ARCHS[:100]) for _ in range(3)]
    assert len(killed) >= 2
    assert found == [expected(ARCHS[:100])] * 3


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_search_among_dying_workers_loses_nothing(pool: Pool, tmp_path: Path, *, asynchronous: bool) -> None:
    """Through searcher, pool and journal; in asked order the trials and the front are those of an undisturbed run."""
    run, words = tmp_path / "run", {"searcher": "nsga2", "batch": 20}
    with study(fakes.Fake(tmp_path), **words) as search:
        undisturbed, front = plain(search.run(200).trials), plain(search.front())
    evaluator = pool(workers=2, cost_s=0.03)
    with deaths(tmp_path, every_s=1.0) as killed, study(evaluator, run, asynchronous=asynchronous, **words) as search:
        trials, last = search.run(200).trials, search.front()
    assert len(killed) >= 2
    assert plain(ledger.read(run).trials) == plain(trials)
    assert len({trial.arch for trial in trials}) == len(trials) == 200
    assert all(trial.metrics["accuracy"] == fakes.metrics_of(trial.arch)["accuracy"] for trial in trials)
    if not asynchronous:
        assert (plain(trials), plain(last)) == (undisturbed, front)


def test_ctrl_c_comes_through_and_the_pool_can_go_on(pool: Pool) -> None:
    evaluator = pool(workers=1, cost_s=0.1)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        evaluator.evaluate(ARCHS[:60])
    timer.join()
    assert evaluator.evaluate(ARCHS[60:62]) == expected(ARCHS[60:62])
    evaluator.close()
    evaluator.close()
    with pytest.raises(UsageError, match="closed"):
        evaluator.evaluate(ARCHS[:1])


@pytest.mark.parametrize(
    ("build", "needs_folder", "error", "text"),
    [
        (fakes.build_refused, True, NasError, "nothing to build it from"),
        (fakes.build_misused, False, UsageError, "^not like this$"),
        (fakes.build_broken, False, RuntimeError, "ZeroDivisionError: a fault in the program"),
        (fakes.build_deadly, True, WorkersLost, "all workers die while they start"),
    ],
)
def test_an_evaluator_that_cannot_be_built_ends_the_pool(
    ray: Any, tmp_path: Path, build: Any, needs_folder: bool, error: type[Exception], text: str
) -> None:
    arguments = {"folder": str(tmp_path)} if needs_folder else {}
    with pytest.raises(error, match=text) as caught:
        RayEvaluator(build, arguments, workers=1, cpus=0)
    if error is not RuntimeError:
        assert "\n" not in str(caught.value)
    assert len(fakes.workers(tmp_path)) == (3 if needs_folder else 0)


def test_fewer_workers_than_wanted_do_the_work(ray: Any, tmp_path: Path) -> None:
    arguments = {"folder": str(tmp_path), "words": {}}
    with RayEvaluator(fakes.build_fake, arguments, workers=2, cpus=2) as evaluator:
        assert evaluator.evaluate(ARCHS[:20]) == expected(ARCHS[:20])
        assert evaluator.alive == 1
        with pytest.raises(UsageError, match=r"within 0\.5 s: the Ray cluster has 2 CPUs and 0 GPUs.* wants 1 CPUs"):
            RayEvaluator(fakes.build_fake, arguments, workers=1, patience_s=0.5)


@pytest.mark.parametrize("words", [{"cpus": 3.0}, {"gpus": 1.0}])
def test_a_worker_that_fits_nowhere_is_refused_at_once(ray: Any, tmp_path: Path, words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no worker can be placed: the Ray cluster has 2 CPUs and 0 GPUs"):
        RayEvaluator(fakes.build_fake, {"folder": str(tmp_path), "words": {}}, workers=1, **words)


@pytest.mark.parametrize(
    "words", [{"workers": 0}, {"workers": 1, "batch": 0}, {"workers": 1, "cpus": -1.0}, {"workers": 1, "threads": 0}]
)
def test_settings_out_of_range_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="got"):
        RayEvaluator(fakes.build_misused, {}, **words)


def test_a_machine_without_ray_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.extras.find_spec", lambda package: None)
    with pytest.raises(UsageError, match="evaluation on workers needs ray, which is not installed"):
        RayEvaluator(fakes.build_misused, {}, workers=1)


OWN = """
import json, sys
from nas.cluster import RayEvaluator
from tests.cluster import fakes
from tests.spaces import SPACES
if __name__ == "__main__":
    with RayEvaluator(fakes.build_fake, {"folder": sys.argv[1], "words": {}}, workers=1) as pool:
        found = pool.evaluate([SPACES["learned"].largest()])
    import ray
    print(json.dumps([found, ray.is_initialized()]))
"""


def test_an_own_ray_is_quiet_and_ends_with_the_pool(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="evaluation on workers needs Ray")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    result = subprocess.run(
        [sys.executable, "-c", OWN, str(tmp_path)], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[2], env=environment | {"RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert json.loads(result.stdout) == [expected([SPACE.largest()]), False]
