"""Costs and budgets: exact against networks, the time of 100,000 architectures, sampling inside budgets and how even.

Run `python -m benchmarks.costs`; rows that are there already are skipped.

* `exact`: architectures whose closed-form costs differ from what another way of counting finds.
* `speed`: seconds to cost a population.
* `budget`: a process of its own builds a space and what samples inside one budget. `ready_s` and `peak_mem_bytes` are
  what this takes, tables of costs included: the most memory beyond what the process had before. Budgets are quantiles
  of the costs of uniform members. `acceptance` is the part of 10,000 draws that rounded costs let in and exact keep.
* `uniform`: chi-square of draws against the list of all members inside the budgets, with its p-value.

Every duration is of one process with one thread.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import rows
from nas.objectives import Constraint
from nas.search_spaces import Architecture, Indices, MobileNetSpace, SearchSpace, get
from nas.task import ImageClassification, Task, TextClassification

if TYPE_CHECKING:  # the process that measures memory does not load torch
    import torch
    from torch import nn

# (space, preset) and what it is made for.
PRESETS: dict[tuple[str, str], Task] = {
    ("mobilenet", "tiny"): ImageClassification(8, 3, 1000),
    ("mobilenet", "small"): ImageClassification(32, 3, 1000),
    ("mobilenet", "ofa"): ImageClassification(224, 3, 1000),
    ("mobilenet", "bignas"): ImageClassification(224, 3, 1000),
    ("flexibert", "full"): TextClassification(128, 30_522, 2),
    ("flexibert", "tiny"): TextClassification(16, 100, 2),
    ("nasbench201", "full"): ImageClassification(32, 3, 10),
}
CHECKED = {"plan": 1_000, "extracted networks": 100}
COSTED, REPETITIONS, DRAWN = 100_000, 3, 10_000
QUANTILES = (0.05, 0.3, 0.7, 0.9)
# Sets that can be listed: bounds as quantiles of all members' costs.
LISTED: dict[tuple[str, str], list[tuple[str, str, float]]] = {
    ("mobilenet", "tiny"): [("macs", "<=", 0.01)],
    ("flexibert", "tiny"): [("params", ">=", 0.5), ("macs", "<=", 0.7)],
    ("nasbench201", "full"): [("params", ">=", 0.2), ("params", "<=", 0.6)],
}
DRAWS_A_MEMBER, SEEDS = 20, 3
Counted = list[tuple[int, int]]  # (params, macs) of each architecture
Values = dict[str, Any]


def build(space: str, preset: str) -> SearchSpace:
    return get(space, task=PRESETS[space, preset], preset=preset)


def once(key: Values, measure: Callable[[], Values]) -> None:
    """Measure and write a row unless it is there."""
    values = rows.finished("costs", key)
    if values is None:
        values = measure()
        rows.append("costs", key, values)
    print(key, values, flush=True)


def from_plans(space: MobileNetSpace, archs: Sequence[Architecture]) -> Counted:
    """Costs summed over the shapes of every layer, one architecture after the other."""
    return [(plan.params, plan.macs) for plan in map(space.plan, archs)]


def from_networks(space: MobileNetSpace, archs: Sequence[Architecture]) -> Counted:
    """Parameters of the extracted networks, and multiply-adds counted while an image passes through them."""
    import torch

    from nas.supernets import build as build_supernet

    supernet = build_supernet(space, seed=0)
    image = torch.zeros(1, *space.task.input_shape)
    out = []
    for arch in archs:
        network = supernet.extract(arch).eval()
        out.append((sum(p.numel() for p in network.parameters()), counted_macs(network, image)))
    return out


def counted_macs(network: nn.Module, image: torch.Tensor) -> int:
    """Multiply-adds of all convolutions and linear layers, from the shapes of their outputs."""
    import torch
    from torch import nn

    total = 0

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        total += output.numel() * layer.weight[0].numel()

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return total


# Ways to count what the closed form claims.
COUNTERS: dict[str, Callable[[MobileNetSpace, Sequence[Architecture]], Counted]] = {
    "plan": from_plans,
    "extracted networks": from_networks,
}


def exactness(preset: str, counter: str) -> Values:
    """Number of architectures whose closed-form costs differ from those that `counter` finds."""
    space = build("mobilenet", preset)
    assert isinstance(space, MobileNetSpace)
    archs = space.architectures(space.feasible().sample(np.random.default_rng(0), CHECKED[counter]))
    costs = space.costs(archs)
    claimed = list(zip(costs["params"].tolist(), costs["macs"].tolist(), strict=True))
    wrong = sum(a != b for a, b in zip(claimed, COUNTERS[counter](space, archs), strict=True))
    return {"checked": len(archs), "wrong": wrong}


def speed(space_name: str, preset: str, repetition: int) -> Values:
    """Time to cost a population of Architecture objects, and one of choice positions."""
    space = build(space_name, preset)
    positions = space.sample_choices(np.random.default_rng(repetition), COSTED)
    archs = space.architectures(positions)
    space.cost(archs[0])
    start = time.perf_counter()
    space.costs(archs)
    middle = time.perf_counter()
    space.costs_of(positions)
    end = time.perf_counter()
    return {"architectures": COSTED, "wall_s": round(middle - start, 3), "positions_wall_s": round(end - middle, 4)}


def budget(space_name: str, preset: str, metric: str, quantile: float) -> Values:
    """One budget in a fresh process."""
    space = build(space_name, preset)
    seen = space.costs_of(space.feasible().sample(np.random.default_rng(0), DRAWN))[metric]
    bound = int(np.quantile(seen, quantile))
    words = (sys.executable, "-m", "benchmarks.costs", space_name, preset, metric, str(bound))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    measured: Values = json.loads(done.stdout)
    return {"bound": bound} | measured


def measured_alone(space_name: str, preset: str, metric: str, bound: int) -> Values:
    """Ready to sample inside a budget, from nothing; then samples."""
    space, constraint = build(space_name, preset), Constraint(metric, "<=", bound)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from now
    before, start = memory("VmRSS"), time.perf_counter()
    feasible = space.feasible([constraint])
    ready = time.perf_counter() - start
    used = memory("VmHWM") - before
    accepted = feasible.holds(feasible.propose(np.random.default_rng(1), DRAWN)).mean()
    start = time.perf_counter()
    drawn = feasible.sample(np.random.default_rng(2), DRAWN)
    sampling = time.perf_counter() - start
    outside = sum(constraint.violation(cost) > 0 for cost in space.costs_of(drawn)[metric].tolist())
    return {
        "ready_s": round(ready, 3), "peak_mem_bytes": used, "acceptance": round(float(accepted), 4),
        "draws": DRAWN, "sampling_s": round(sampling, 3), "outside": outside,
    }  # fmt: skip


def memory(what: str) -> int:
    """Bytes of this process, now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def uniformity(space_name: str, preset: str, seed: int) -> Values:
    """Whether every member inside the budgets is drawn equally often."""
    from scipy.stats import chi2

    space, everyone = build(space_name, preset), listed(space_name, preset)
    costs = space.costs_of(everyone)
    constraints = [
        Constraint(metric, "<=" if sense == "<=" else ">=", int(np.quantile(costs[metric], quantile)))
        for metric, sense, quantile in LISTED[space_name, preset]
    ]
    feasible = space.feasible(constraints)
    inside = everyone[feasible.holds(everyone)]
    numbers = {row.tobytes(): i for i, row in enumerate(inside)}
    drawn = feasible.sample(np.random.default_rng(seed), DRAWS_A_MEMBER * len(inside))
    known = [numbers.get(row.tobytes(), -1) for row in drawn]
    counts = np.bincount([i for i in known if i >= 0], minlength=len(inside))
    statistic = float(((counts - DRAWS_A_MEMBER) ** 2 / DRAWS_A_MEMBER).sum())
    return {
        "constraints": ", ".join(map(str, constraints)), "members": len(inside), "of": len(everyone),
        "draws": len(drawn), "members_drawn": int((counts > 0).sum()), "outside": known.count(-1),
        "chi_square": round(statistic, 1), "p_value": round(float(chi2.sf(statistic, len(inside) - 1)), 4),
    }  # fmt: skip


@cache
def listed(space_name: str, preset: str) -> Indices:
    """[size, D]: every member once, the slow way."""
    space = build(space_name, preset)
    combinations = np.unravel_index(np.arange(np.prod(space.cardinalities)), space.cardinalities.tolist())
    return np.unique(space.canonical(np.stack(combinations, axis=1).astype(np.int16)), axis=0)


def main() -> None:
    for preset in (name for space, name in PRESETS if space == "mobilenet"):
        for counter in COUNTERS:
            once({"what": "exact", "preset": preset, "counter": counter}, partial(exactness, preset, counter))
    for name, preset in PRESETS:
        for repetition in range(REPETITIONS):
            key = {"what": "speed", "space": name, "preset": preset, "repetition": repetition}
            once(key, partial(speed, name, preset, repetition))
        for metric in ("params", "macs"):
            for quantile in QUANTILES:
                key = {"what": "budget", "space": name, "preset": preset, "metric": metric, "quantile": quantile}
                once(key, partial(budget, name, preset, metric, quantile))
    for name, preset in LISTED:
        for seed in range(SEEDS):
            key = {"what": "uniform", "space": name, "preset": preset, "seed": seed}
            once(key, partial(uniformity, name, preset, seed))


if __name__ == "__main__":
    if len(sys.argv) == 5:
        print(json.dumps(measured_alone(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
