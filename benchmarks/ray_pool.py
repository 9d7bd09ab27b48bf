"""A pool of Ray workers: what it costs an architecture, how busy it keeps its workers, and what a second one brings.

* `overhead`: milliseconds an architecture of an evaluator that costs nothing, on one worker, in batches of 8.
* `busy`: eight simulated workers, which only wait 50 ms an architecture: the share of workers x wall time in which they
  did, with results in asked order (calls of 64 and of 256 architectures) and in the steady state.
* `ceiling`: what this machine allows: one plain process with one thread that evaluates 16 architectures, against two
  such processes side by side; no Ray, nothing shared, nothing kept.
* `scaling`: two workers of one thread against one, on the `small` preset with fresh weights and CIFAR-10; each time
  with new workers, which remember nothing, and the same architectures.

    NAS_DATA_DIR=... python -m benchmarks.ray_pool
    NAS_DATA_DIR=... python -m benchmarks.ray_pool --repetitions 1 --architectures 8
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import nas.data
from benchmarks import rows
from nas import search_spaces
from nas.cluster import RayEvaluator
from nas.cluster.supernet_pool import supernet_pool
from nas.evaluation import Metrics, SupernetEvaluator
from nas.evaluation.population.malloc import keep_freed_memory
from nas.search_spaces import Architecture
from nas.supernets import build
from nas.task import ImageClassification

NAME = "ray_pool"
DATA = "cifar10:images/cifar10_jpeg.tar.xz"
BATCH = 8
SIDE_BY_SIDE = 16


@dataclass(frozen=True)
class FixedCost:
    """Waits, and says for how long it did; the accuracy is that of nothing."""

    cost_s: float

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """One wait an architecture."""
        found = []
        for _ in archs:
            began = time.perf_counter()
            if self.cost_s:
                time.sleep(self.cost_s)
            found.append({"accuracy": 0.0, "busy_s": time.perf_counter() - began})
        return found


def build_fixed(cost_s: float) -> FixedCost:
    return FixedCost(cost_s)


def members(count: int, seed: int) -> list[Architecture]:
    """Different architectures of the space for CIFAR-10."""
    space = search_spaces.get("mobilenet", task=ImageClassification(32, 3, 10), preset="small")
    drawn = dict.fromkeys(space.architectures(space.sample_choices(np.random.default_rng(seed), count * 2)))
    return list(drawn)[:count]


def overhead(archs: Sequence[Architecture]) -> dict[str, float]:
    """Wall time of one call and of steady batches, an architecture."""
    with RayEvaluator(build_fixed, {"cost_s": 0.0}, workers=1, cpus=0, batch=BATCH) as pool:
        pool.evaluate(archs[:BATCH])
        began = time.perf_counter()
        pool.evaluate(archs)
        ordered = time.perf_counter() - began
        streaming, _ = streamed(pool, archs)
    return {"ordered_ms": 1000 * ordered / len(archs), "streaming_ms": 1000 * streaming / len(archs)}


def streamed(pool: RayEvaluator, archs: Sequence[Architecture]) -> tuple[float, float]:
    """Wall time and busy time (s) where each batch that comes back is replaced."""
    parts = [archs[start : start + BATCH] for start in range(0, len(archs), BATCH)]
    began, busy, sent = time.perf_counter(), 0.0, min(pool.slots, len(parts))
    for part in parts[:sent]:
        pool.submit(part)
    for _ in parts:
        busy += waited([outcome for _, outcome in pool.collect()])
        if sent < len(parts):
            pool.submit(parts[sent])
            sent += 1
    return time.perf_counter() - began, busy


def waited(outcomes: Sequence[object]) -> float:
    assert all(isinstance(outcome, dict) for outcome in outcomes), outcomes
    return float(sum(outcome["busy_s"] for outcome in outcomes if isinstance(outcome, dict)))


def busy(archs: Sequence[Architecture], workers: int, cost_s: float) -> dict[str, float]:
    """Share of workers x wall time in which workers work."""
    with RayEvaluator(build_fixed, {"cost_s": cost_s}, workers=workers, cpus=0, batch=BATCH) as pool:
        while pool.alive < workers:
            pool.evaluate(archs[: workers * BATCH])
        found = {}
        for size in (64, 256):
            wall, work = 0.0, 0.0
            for start in range(0, len(archs), size):
                began = time.perf_counter()
                outcomes = pool.evaluate(archs[start : start + size])
                wall, work = wall + time.perf_counter() - began, work + waited(outcomes)
            found[f"ordered_{size}_busy"] = work / (workers * wall)
        wall, work = streamed(pool, archs)
        found["streaming_busy"] = work / (workers * wall)
    return found


def scaling(archs: Sequence[Architecture], repetition: int) -> dict[str, float]:
    """Seconds on one and on two workers, the order changing from repetition to repetition."""
    data = nas.data.load(DATA)
    space = search_spaces.get("mobilenet", task=ImageClassification(32, 3, 10), preset="small")
    supernet, seconds = build(space, seed=repetition), dict[int, float]()
    accuracies: list[list[float]] = []
    for workers in (1, 2) if repetition % 2 == 0 else (2, 1):
        with supernet_pool(supernet, data, workers=workers, batch=BATCH) as pool:
            while pool.alive < workers:
                pool.submit(archs[:1])
                pool.collect()
            began = time.perf_counter()
            outcomes = pool.evaluate(archs)
            seconds[workers] = time.perf_counter() - began
            accuracies.append([outcome["accuracy"] for outcome in outcomes if isinstance(outcome, dict)])
    # Who shares a call shares its widest expansions, which rounds differently.
    difference = max(abs(a - b) for a, b in zip(*accuracies, strict=True))
    return {
        "one_worker_s": seconds[1],
        "two_workers_s": seconds[2],
        "speedup": seconds[1] / seconds[2],
        "max_accuracy_difference": difference,
    }


def alone(archs: list[Architecture], seed: int, barrier: Any, found: Any) -> None:
    """A plain process of `ceiling`."""
    torch.set_num_threads(1)
    keep_freed_memory()
    data = nas.data.load(DATA)
    space = search_spaces.get("mobilenet", task=ImageClassification(32, 3, 10), preset="small")
    evaluator = SupernetEvaluator(build(space, seed=seed), data)
    evaluator.evaluate(archs[:1])
    barrier.wait()
    began = time.perf_counter()
    evaluator.evaluate(archs[1:])
    found.put(time.perf_counter() - began)


def ceiling(archs: list[Architecture], repetition: int) -> dict[str, float]:
    """Seconds of one process, and of the slower of two, each with all of the architectures."""
    context, seconds = multiprocessing.get_context("spawn"), dict[int, float]()
    for count in (1, 2) if repetition % 2 == 0 else (2, 1):
        barrier, found = context.Barrier(count), context.Queue()
        processes = [context.Process(target=alone, args=(archs, repetition, barrier, found)) for _ in range(count)]
        for process in processes:
            process.start()
        seconds[count] = max(found.get() for _ in processes)
        for process in processes:
            process.join()
    return {"one_s": seconds[1], "two_s": seconds[2], "speedup": 2 * seconds[1] / seconds[2]}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--architectures", type=int, default=64, help="that the supernet evaluates")
    parser.add_argument("--figures", default="overhead,busy,ceiling,scaling")
    parser.add_argument("--force", action="store_true", help="measure again what is there already")
    words = parser.parse_args()
    measured: dict[str, list[dict[str, float]]] = {}
    for repetition in range(words.repetitions):
        archs = members(words.architectures, repetition)
        few = archs[: SIDE_BY_SIDE + 1]
        scaled = {"architectures": words.architectures, "data": DATA, "threads": 1}
        sides: dict[str, tuple[dict[str, object], Callable[[], dict[str, float]]]] = {
            "overhead": ({"architectures": 800}, partial(overhead, members(800, 0))),
            "busy": ({"workers": 8, "cost_ms": 50, "architectures": 512}, partial(busy, members(512, 0), 8, 0.05)),
            "ceiling": (
                {**scaled, "architectures": SIDE_BY_SIDE},
                partial(ceiling, few, repetition),
            ),
            "scaling": (scaled, partial(scaling, archs, repetition)),
        }
        for figure, (settings, measure) in sides.items():
            if figure not in words.figures.split(","):
                continue
            key = {"figure": figure, "batch": BATCH, "repetition": repetition, **settings}
            values = None if words.force else rows.finished(NAME, key)
            if values is None:
                values = measure()
                rows.append(NAME, key, values)
            measured.setdefault(figure, []).append(values)
            say(f"{figure}: {values}")
    for figure, runs in measured.items():
        say(f"{figure}, medians: { ({name: statistics.median(run[name] for run in runs) for name in runs[0]}) }")


if __name__ == "__main__":
    main()
