"""Why scores of NAS-Bench-Suite-Zero differ from ours: three proxies as that benchmark read them, beside ours.

* `macs`: published counts have three operations an element more for an edge with a convolution (norm and ReLU), and
  nine for one with pooling; of all 9,445 cells.
* `fisher`: over weights, as ours, and over channels.
* `zen`: batch norms add their running variance, which after the two passes of a single draw is still .81 of the 1 that
  it began with; ours add the variance of the batch, and average 32 draws.

    NAS_DATA_DIR=... python -m benchmarks.proxies_published
"""

from __future__ import annotations

import argparse
import math

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn.functional import batch_norm

from benchmarks import nasbench201_scores as bench
from benchmarks import rows
from nas.proxies import Probe, get
from nas.proxies.data_free import ZEN_BATCH, ZEN_STEP
from nas.proxies.probing.recorder import OperationRecorder
from nas.supernets import network

NAME = "proxies_published"
ELEMENTS = 5 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)  # of an edge's maps in all 15 cells
CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")


def compared(scores: dict[str, float], published: dict[str, float]) -> dict[str, float]:
    """Spearman correlation, and the published ones as multiples of these, and less these."""
    numbers = [n for n in scores if math.isfinite(published[n])]
    ours, theirs = (np.array([known[n] for n in numbers]) for known in (scores, published))
    ratios, less = theirs / ours, theirs - ours
    return {
        "cells": len(numbers), "spearman": float(spearmanr(ours, theirs).statistic),
        "ratio_lowest": float(ratios.min()), "ratio_median": float(np.median(ratios)),
        "ratio_highest": float(ratios.max()), "less_lowest": float(less.min()), "less_highest": float(less.max()),
    }  # fmt: skip


def multiply_adds(numbers: list[str]) -> dict[str, dict[str, float]]:
    """Millions: ours, and with the operations that the published counts have besides."""
    space, ours, more = bench.space_of_the_benchmark(), dict[str, float](), dict[str, float]()
    for n, macs in zip(numbers, space.costs([bench.architecture(space, n) for n in numbers])["macs"], strict=True):
        ours[n] = float(macs) / 1e6
        besides = sum(3 * (op in CONVOLUTIONS) + 9 * (op == "avg_pool_3x3") for op in bench.cells()[n])
        more[n] = ours[n] + besides * ELEMENTS / 1e6
    return {"ours": ours, "with norms, ReLU and pooling": more}


def fisher(model: nn.Module, seed: int, images: int) -> dict[str, float]:
    x, y = bench.batch(images, seed)
    with Probe(model, x, y, seed=seed) as probe:
        channels = 0.0
        for layer, grad in zip(probe.record.layers, probe.gradients[1], strict=True):
            if grad is not None:
                product = (layer.output.detach() * grad).movedim(layer.channel_dim, 1)
                sums = product.reshape(*product.shape[:2], -1).sum(2)
                channels += float(sums.square().mean(0).sum() / 2)
        return {"ours": get("fisher").score(probe), "over channels": channels}


@torch.no_grad()
def zen(model: nn.Module, seed: int) -> dict[str, float]:
    """Of one draw: with the batch's variances, and with the running ones of a new network."""
    source = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.normal_(generator=source)
    x, z = (torch.randn(ZEN_BATCH, 3, 32, 32, generator=source) for _ in range(2))
    model.train()
    maps = []
    for given in (x, x + ZEN_STEP * z):
        with OperationRecorder(batch_norm) as operations:
            model(given)
        maps.append(operations.maps)
    distance = math.log(float((maps[0][-1].output - maps[1][-1].output).abs().sum((1, 2, 3)).mean()))
    spreads = [m.norm_input.var((0, 2, 3)).mean() for m in maps[0] if m.norm_input is not None]
    running = [m.running_var.mean() for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    log = lambda spreads: sum(0.5 * math.log(float(s) + 1e-5) for s in spreads)
    return {"ours, one draw": distance + log(spreads), "running variance": distance + log(running)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=64)
    words = parser.parse_args()
    known = {row["idx"]: row for row in bench.unique()}
    published = {
        name: {n: float(row[f"c10_{column}"] or "nan") for n, row in known.items()}
        for name, column in (("macs", "flops"), ("fisher", "fisher"), ("zen", "zen"))
    }

    def write(proxy: str, reading: str, seed: int, scores: dict[str, float]) -> None:
        values = compared(scores, published[proxy])
        rows.append(NAME, {"proxy": proxy, "reading": reading, "networks": len(scores), "seed": seed}, values)
        print(proxy, reading, seed, {k: round(v, 6) for k, v in values.items()}, flush=True)

    for reading, scores in multiply_adds(list(known)).items():
        write("macs", reading, 0, scores)
    space, numbers = bench.space_of_the_benchmark(), bench.subset(words.networks, 0)
    for seed in range(words.seeds):
        models = {n: network(space, bench.architecture(space, n), seed=seed) for n in numbers}
        found = {"fisher": {n: fisher(m, seed, words.images) for n, m in models.items()}}
        found["zen"] = {n: zen(m, seed) for n, m in models.items()}
        for proxy, scores in found.items():
            for reading in next(iter(scores.values())):
                write(proxy, reading, seed, {n: readings[reading] for n, readings in scores.items()})


if __name__ == "__main__":
    main()
