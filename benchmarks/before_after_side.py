"""One side of `benchmarks.before_after`, in a process of its own; prints one line of JSON, names with seconds.

The driver puts this file into a copy of each checkout, so that `benchmarks` and `nas` are that checkout's own. It uses
only functions and constants that the benchmarks had before the one house; each import is inside the function that
needs it, so that one benchmark that cannot be imported does not stop the others.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Seconds = dict[str, Any]


def prepare(settings: Mapping[str, int]) -> Seconds:
    """The supernet of `population_evaluation`, briefly trained, and its evolution job, recorded where there is none."""
    import nas.data
    from benchmarks import population_evaluation as b

    b.EPOCHS, b.IMAGES = 1, settings["train_images"]
    b.GENERATIONS, b.POPULATION = settings["generations"], settings["population"]
    supernet = b.trained()
    b.evolution_job(supernet.space, supernet, nas.data.load(b.DATA, train_images=b.IMAGES))
    return {}


def population(settings: Mapping[str, int], *, job: str) -> Seconds:
    """Our side alone, `all`, of one job; its accuracies too, which both sides must share."""
    from benchmarks import population_evaluation as b

    b.RANDOM = settings["random"]
    found = b.run_side(job, "all")
    return {f"population_evaluation: {job}": found["wall_s"], "answers": found["accuracy"]}


def overhead(settings: Mapping[str, int]) -> Seconds:
    """Shared weights: geometric means over members, in seconds and as multiples of plain networks."""
    from benchmarks import overhead as b

    kept: dict[str, list[Mapping[str, float]]] = {}

    def keep(key: Mapping[str, Any], found: Mapping[str, float], device: str) -> None:
        kept.setdefault(f"overhead: {str(key['what']).split()[0]} {key['preset']}", []).append(found)

    b.report = keep  # type: ignore[assignment]
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
    from benchmarks import ray_pool as b

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
    from benchmarks import proxy_speed as b

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
    "population random": partial(population, job="random"),
    "population evolution": partial(population, job="evolution"),
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
