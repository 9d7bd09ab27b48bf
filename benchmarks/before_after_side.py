"""One side of `benchmarks.before_after`, in a process of its own; prints one line of JSON, names with seconds.

The driver puts this file into a copy of each checkout, so that `benchmarks` and `nas` are that checkout's own. It uses
only names that the benchmarks had before the one house (`USED`) and sets some of them anew, to shorten a job or to
leave other sides out; a benchmark is imported when it is measured, so that a broken one does not stop the others.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

Seconds = dict[str, Any]
# What is used of each benchmark, and has to stay there under these names.
USED = {
    "population_evaluation": (
        "EPOCHS", "IMAGES", "GENERATIONS", "POPULATION", "RANDOM", "DATA", "trained", "evolution_job", "run_side",
    ),
    "overhead": ("report", "sandwich", "forward"),
    "ray_pool": ("members", "overhead", "scaling"),
    "proxy_speed": (
        "CLASSIC", "timed", "gradsign", "vpca", "by_svd", "one_by_one_score", "authors_way", "peak_bytes",
        "gradsign_rows", "classic_rows", "wpca_rows",
    ),
}  # fmt: skip


def benchmark(name: str, *, cpu_clock: bool = False) -> Any:
    """The checkout's own benchmark.

    Args:
        name: Of its module.
        cpu_clock: Whether it counts the seconds of this process's computing instead of those on the wall.

    Raises:
        SystemExit: A name that is used here is not there any more.
    """
    module = import_module(f"benchmarks.{name}")
    if missing := [used for used in USED[name] if used not in vars(module)]:
        raise SystemExit(f"benchmarks/{name}.py has no {', '.join(missing)}, which before_after_side.py uses")
    if cpu_clock:
        module.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[attr-defined]
    return module


def prepare(settings: Mapping[str, int]) -> Seconds:
    """The supernet of `population_evaluation`, briefly trained, and its evolution job, recorded where there is none."""
    b = benchmark("population_evaluation")
    b.EPOCHS, b.IMAGES = 1, settings["train_images"]
    b.GENERATIONS, b.POPULATION = settings["generations"], settings["population"]
    supernet = b.trained()
    b.evolution_job(supernet.space, supernet, import_module("nas.data").load(b.DATA, train_images=b.IMAGES))
    return {}


def population(settings: Mapping[str, int]) -> Seconds:
    """Our side alone, `all`, of both jobs; its accuracies too, which both sides must share."""
    b = benchmark("population_evaluation", cpu_clock=bool(settings["cpu_clock"]))
    data = import_module("nas.data")
    b.RANDOM = settings["random"]
    data.load = cache(data.load)  # reading the images would take longer than a job
    found = {job: b.run_side(job, "all") for job in ("random", "evolution")}
    seconds = {f"population_evaluation: {job}": run["wall_s"] for job, run in found.items()}
    return seconds | {"answers": [run["accuracy"] for run in found.values()]}


def overhead(settings: Mapping[str, int]) -> Seconds:
    """Shared weights: geometric means over members, in seconds and as multiples of plain networks."""
    b = benchmark("overhead", cpu_clock=bool(settings["cpu_clock"]))
    kept: dict[str, list[Mapping[str, float]]] = {}

    def keep(key: Mapping[str, Any], found: Mapping[str, float], device: str) -> None:
        kept.setdefault(f"overhead: {str(key['what']).split()[0]} {key['preset']}", []).append(found)

    b.report = keep
    for preset, size in (("tiny", 8), ("small", 32)):
        b.sandwich(preset, size, "cpu", settings["repetition"], settings["rounds"])
        b.forward(preset, size, "cpu", settings["repetition"], settings["rounds"])
    mean = statistics.geometric_mean
    return {
        name + suffix: mean(value(found) for found in each)
        for name, each in kept.items()
        for suffix, value in (("", _elastic), (", times plain", _times_plain))
    }


def _elastic(found: Mapping[str, float]) -> float:
    return found["elastic"]


def _times_plain(found: Mapping[str, float]) -> float:
    return found["elastic"] / found["plain"]


def ray_pool(settings: Mapping[str, int]) -> Seconds:
    """What a pool costs an architecture, and what one and two workers take for the same architectures."""
    b = benchmark("ray_pool")
    pool = b.overhead(b.members(settings["free_architectures"], 0))
    rate = b.scaling(b.members(settings["pool_architectures"], settings["repetition"]), settings["repetition"])
    return {
        "ray_pool: overhead, ordered": pool["ordered_ms"] / 1000,
        "ray_pool: overhead, streaming": pool["streaming_ms"] / 1000,
        "ray_pool: one worker": rate["one_worker_s"],
        "ray_pool: two workers": rate["two_workers_s"],
    }


def proxy_speed(settings: Mapping[str, int]) -> Seconds:
    """Our sides alone; those that they are compared with do nothing. Geometric means over networks."""
    b = benchmark("proxy_speed", cpu_clock=bool(settings["cpu_clock"]))
    kept: dict[str, list[float]] = {"gradsign": [], "classic": [], "wpca": []}
    measure, streamed = b.timed, b.vpca

    def name_of(act: partial[Any]) -> str | None:
        if act.func is b.gradsign:
            return "gradsign"
        if act.args == b.CLASSIC:
            return "classic"
        return "wpca" if "vpca" in act.func.__code__.co_names else None

    def timed(act: partial[Any], device: str) -> tuple[Any, float]:
        if (name := name_of(act)) is None:
            return 1.0, 1.0
        found, seconds = measure(act, device)
        kept[name].append(seconds)
        return found, seconds

    def warm_up(model: Any, tokens: Any, *_: Any, **__: Any) -> float:
        streamed(model, tokens)
        return 1.0

    b.timed, b.by_svd = timed, warm_up
    b.one_by_one_score = b.authors_way = lambda *_: 1.0
    b.peak_bytes = lambda *_: 0
    seed = settings["repetition"]
    b.gradsign_rows(settings["networks"], settings["images"], seed, "cpu")
    b.classic_rows(settings["networks"], settings["images"], seed, "cpu")
    b.wpca_rows(settings["encoders"], settings["sequences"], seed, "cpu")
    kept["classic"] = [min(pair) for pair in zip(kept["classic"][::2], kept["classic"][1::2], strict=True)]
    return {f"proxy_speed: {name}": statistics.geometric_mean(each) for name, each in kept.items()}


PARTS: dict[str, Callable[[Mapping[str, int]], Seconds]] = {
    "prepare": prepare,
    "population_evaluation": population,
    "overhead": overhead,
    "ray_pool": ray_pool,
    "proxy_speed": proxy_speed,
}


def main() -> None:
    part, settings = sys.argv[1:]
    found = PARTS[part](json.loads(settings))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
