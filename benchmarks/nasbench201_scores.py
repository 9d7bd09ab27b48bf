"""Scores of NAS-Bench-201's networks by proxies, computed once and kept; what other benchmarks read.

Full width and depth, CIFAR-10 images (JPEG q75) of the training split, weights as torch draws them. Scores are kept
under build/, one line a network with the sources that it is from, so that an interrupted run goes on. Where the sources
have changed since, scores of three networks are computed anew, and have to be the same.

    NAS_DATA_DIR=... python -m benchmarks.nasbench201_scores --proxies gradsign --images 16 --jobs 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import nas.data
from benchmarks import rows
from nas.evaluation.population.malloc import keep_freed_memory
from nas.evaluation.tabular.evaluator import read_csv
from nas.proxies import Probe, parts_of, score
from nas.search_spaces import Architecture
from nas.search_spaces.cells.nasbench201 import NasBench201Space, build
from nas.supernets import network
from nas.task import ImageClassification

DATA = "cifar10:images/cifar10_jpeg.tar.xz"
FULL, UNIQUE = Path("nas/nb201_full.csv.xz"), Path("nas/nb201_zc_proxies_9445.csv.xz")
KEPT = Path("build/nasbench201_scores")
DIGITS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # of the column `ops`


def space_of_the_benchmark() -> NasBench201Space:
    return build(ImageClassification(32, 3, 10), "full")


@cache
def cells() -> dict[str, tuple[str, ...]]:
    """Operations of all 15,625 cells by their number in the benchmark."""
    return {row["idx"]: tuple(DIGITS[int(d)] for d in row["ops"]) for row in read_csv(FULL, ["idx", "ops"])}


@cache
def unique() -> list[dict[str, str]]:
    """The 9,445 cells that differ and are valid, with published scores and validation accuracy."""
    return read_csv(UNIQUE, ["idx"])


def architecture(space: NasBench201Space, number: str) -> Architecture:
    return Architecture(space.name, space.names, cells()[number])


def subset(count: int, seed: int) -> list[str]:
    """Numbers of cells that were drawn among the unique ones."""
    found = unique()
    drawn = np.random.default_rng(seed).choice(len(found), min(count, len(found)), replace=False)
    return [found[i]["idx"] for i in drawn]


@cache
def batch(images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Normalised training images and their classes."""
    data = nas.data.load(DATA)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:images]
    return data.preprocessing.normalise(data.train.images[order]), data.train.labels[order]


def scored(number: str, names: Sequence[str], images: int, seed: int) -> dict[str, Any]:
    """Scores of one network, and seconds."""
    torch.set_num_threads(1)
    keep_freed_memory()
    space = space_of_the_benchmark()
    x, y = batch(images, seed)
    model = network(space, architecture(space, number), seed=seed)
    began = time.perf_counter()
    with Probe(model, x, y, seed=seed) as probe:
        found, seconds = score(probe, parts_of(names))
    taken = time.perf_counter() - began
    return {"idx": number, "scores": found, "seconds": seconds, "wall_s": taken, "code": _code()}


def scores(
    numbers: Sequence[str], names: Sequence[str], *, images: int, seed: int, jobs: int
) -> dict[str, dict[str, Any]]:
    """Of these cells, by number; what was scored before is read."""
    parts = parts_of(names)
    file = KEPT / f"{parts[0]}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}-{images}-{seed}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {row["idx"]: row for row in _lines(file)}
    older = [number for number, row in known.items() if row["code"] != _code()]
    for number in older[:3]:
        again = scored(number, names, images, seed)["scores"]
        if not all(_same(value, again[name]) for name, value in known[number]["scores"].items()):
            raise SystemExit(f"scores of older sources differ for cell {number}; delete {file}")
    missing = [number for number in numbers if number not in known]
    if missing:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, file.open("a") as kept:
            rest = [[value] * len(missing) for value in (list(names), images, seed)]
            for i, row in enumerate(pool.map(scored, missing, *rest, chunksize=4), 1):
                known[row["idx"]] = row
                kept.write(json.dumps(row) + "\n")
                if i % 100 == 0 or i == len(missing):
                    kept.flush()
                    print(f"{i} of {len(missing)} networks", flush=True)
    return {number: known[number] for number in numbers}


@cache
def _code() -> str:
    return rows.code()


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # cut off by a kill
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxies", default="gradsign")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--networks", type=int, default=9445)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    words = parser.parse_args()
    found = scores(
        subset(words.networks, 0), words.proxies.split(","), images=words.images, seed=words.seed, jobs=words.jobs
    )
    seconds = [row["wall_s"] for row in found.values()]
    print(f"{len(seconds)} networks, {sum(seconds):.0f} s of scoring, {np.mean(seconds):.3f} s a network")


if __name__ == "__main__":
    main()
