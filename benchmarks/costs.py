"""Costs and budgets: exact against the plan, the time of 100,000 architectures, counting and sampling under budgets.

Run `python -m benchmarks.costs`; rows that are there already are skipped.

Every duration is of one process on one core. Sampling draws 1,000 members after counting. `fraction` is the part of the
space inside the budget. Budgets are quantiles of the costs of 2,000 uniform members.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import rows
from nas.objectives import Constraint
from nas.search_spaces import Architecture, MobileNetSpace
from nas.search_spaces.mobilenet import presets as mobilenet_presets
from nas.supernets import build as build_supernet

SIZES = {"tiny": 8, "small": 32, "ofa": 224, "bignas": 224}
CHECKED, COSTED, REPETITIONS, DRAWN = 1_000, 100_000, 3, 1_000
QUANTILES = {"tiny": (0.5,), "small": (0.5,), "ofa": (0.01, 0.1, 0.5, 0.9), "bignas": (0.1, 0.5)}
Counted = list[tuple[int, int]]  # (params, macs) of each architecture
Values = dict[str, Any]


def build(preset: str) -> MobileNetSpace:
    return mobilenet_presets.build(input_size=SIZES[preset], in_channels=3, num_classes=1000, preset=preset)


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
    supernet = build_supernet(space, seed=0)
    image = torch.zeros(1, space.in_channels, space.input_size, space.input_size)
    out = []
    for arch in archs:
        network = supernet.extract(arch).eval()
        out.append((sum(p.numel() for p in network.parameters()), counted_macs(network, image)))
    return out


@torch.no_grad()
def counted_macs(network: nn.Module, image: torch.Tensor) -> int:
    """Multiply-adds of all convolutions and linear layers, from the shapes of their outputs."""
    total = 0

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        total += output.numel() * layer.weight[0].numel()

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
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
    space = build(preset)
    archs = space.architectures(space.feasible().sample(np.random.default_rng(0), CHECKED))
    costs = space.costs(archs)
    claimed = list(zip(costs["params"].tolist(), costs["macs"].tolist(), strict=True))
    wrong = sum(a != b for a, b in zip(claimed, COUNTERS[counter](space, archs), strict=True))
    return {"checked": len(archs), "wrong": wrong}


def speed(preset: str, repetition: int) -> Values:
    """Time to cost a population of Architecture objects."""
    space = build(preset)
    archs = space.architectures(space.sample_choices(np.random.default_rng(repetition), COSTED))
    space.cost(archs[0])
    start = time.perf_counter()
    space.costs(archs)
    return {"architectures": COSTED, "wall_s": round(time.perf_counter() - start, 3)}


def budget(preset: str, metric: str, quantile: float) -> Values:
    """Time to count the members inside a budget and to sample from them."""
    space, rng = build(preset), np.random.default_rng(0)
    seen = space.costs_of(space.feasible().sample(rng, 2_000))[metric]
    bound = int(np.quantile(seen, quantile))
    start = time.perf_counter()
    feasible = space.feasible([Constraint(metric, "<=", bound)])
    counting = time.perf_counter() - start
    start = time.perf_counter()
    drawn = feasible.sample(rng, DRAWN)
    sampling = time.perf_counter() - start
    return {
        "bound": bound,
        "count": str(feasible.count),
        "fraction": round(feasible.count / space.size, 6),
        "counting_s": round(counting, 3),
        "sampling_s": round(sampling, 3),
        "outside": int((space.costs_of(drawn)[metric] > bound).sum()),
        # Of the process so far: rows that run before count too.
        "peak_mem_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> None:
    for preset in SIZES:
        for counter in COUNTERS:
            once({"what": "exact", "preset": preset, "counter": counter}, partial(exactness, preset, counter))
        for repetition in range(REPETITIONS):
            once({"what": "speed", "preset": preset, "repetition": repetition}, partial(speed, preset, repetition))
    for preset, quantiles in QUANTILES.items():
        for metric in ("params", "macs"):
            for quantile in quantiles:
                key = {"what": "budget", "preset": preset, "metric": metric, "quantile": quantile}
                once(key, partial(budget, preset, metric, quantile))


if __name__ == "__main__":
    main()
