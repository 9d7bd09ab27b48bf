"""Accuracy of sub-networks with inherited weights, a population at a time.

A population is a trie of steps. Calibration and scoring go chunk by chunk, depth first. So each distinct prefix runs
once a chunk, and only one path's activations are held.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from nas.data import ImageData
from nas.errors import UsageError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.population.malloc import HeapLimit
from nas.evaluation.population.memory_budget import default_budget, partition, smallest_budget
from nas.evaluation.population.passes import Population, cost_matrix
from nas.evaluation.population.prefix_cache import PrefixCache
from nas.evaluation.population.racing import Racing
from nas.evaluation.population.scores import Scores
from nas.evaluation.population.trie import EXACT, Sharing, build_trie
from nas.evaluation.totals import Totals
from nas.objectives import TEST_PREFIX
from nas.search_spaces import COST_NAMES, Architecture, SearchSpace
from nas.supernets import Statistics, Supernet, calibrate, calibration_batch, equal_parts
from nas.supernets.training import check_fits

Precision = Literal["float32", "bfloat16"]
BATCH_SIZES = {"cuda": 2500}  # launches cost more than arithmetic
GROUP = 256  # architectures a trie, whose memory grows with them
CACHED_RESULTS = 100_000  # architectures


@final
class SupernetEvaluator:
    """Scores architectures by the weights they inherit.

    Architectures of a call share what they have in common: their first steps with the batch-norm statistics, and on
    request the widest of steps that differ only in width. Results and activations of common prefixes are cached from
    call to call. Create a new evaluator when the weights have changed.

    Args:
        supernet: The shared weights; nothing of them changes but eval mode is set.
        data: The images: its calibration split for batch norms, `split` for scores.
        split: "validation" reports `accuracy` and `loss`, what a search selects on; "test" reports `test_accuracy`
            and `test_loss`, which no search sees.
        batch_size: Most images a pass while scoring, fewer where the budget asks for it; None: 2,500 on CUDA, on
            the CPU as many as a calibration batch has. Changes no result but for rounding.
        device: "cpu" or "cuda".
        budget_bytes: For everything that evaluating adds to the network, the images and the answers (5 bytes an image
            and architecture), activations kept for the next call included; None: see `default_budget`, or more where
            one batch takes more. Changes no result but for rounding, and that only where it cuts passes.
        precision: "bfloat16" runs convolutions and linear layers so; results then differ a little.
        racing: Stops candidates that cannot win; their metrics have `partial_images`, and depend on who else is in
            the call. None: every architecture sees every image.
        sharing: What architectures of a call share, see `Sharing`.

    Raises:
        UsageError: The data do not fit the supernet, no such split or precision, or a budget that is too small.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageData,
        *,
        split: Literal["validation", "test"] = "validation",
        batch_size: int | None = None,
        device: str = "cpu",
        budget_bytes: int | None = None,
        precision: Precision = "float32",
        racing: Racing | None = None,
        sharing: Sharing = EXACT,
    ) -> None:
        kind = torch.device(device).type
        _check(split, precision, batch_size)
        check_fits(supernet.space, data)
        self._supernet = supernet.to(device).eval()
        self._prefix = TEST_PREFIX if split == "test" else ""
        self._device, self._precision, self._racing, self._sharing = torch.device(device), precision, racing, sharing
        self._preprocessing = data.preprocessing
        scored = data.split(split)
        # Racing needs the images of each round to be a random sample of all.
        order = torch.randperm(len(scored), generator=torch.Generator().manual_seed(0))
        self._labels = scored.labels[order].to(device)
        self._calibration = equal_parts(data.calibration.images.to(device), calibration_batch(supernet))
        first = len(self._calibration[0])
        # On the CPU passes of one size: oneDNN keeps a kernel a shape.
        batch_size = BATCH_SIZES.get(kind, first) if batch_size is None else batch_size
        budget = max(default_budget(device), smallest_budget(supernet, first)) if budget_bytes is None else budget_bytes
        batch, self._partition = partition(supernet, budget, batch_size, first)
        if racing is not None:  # a round ends with a pass
            batch = min(batch, -(-len(scored) // racing.rounds))
        self._scored = equal_parts(scored.images[order].to(device), batch)
        itemsize = 4 if precision == "float32" else 2
        chunks = [len(images) for images in (*self._calibration, *self._scored)]
        capacity = self._partition.cache if sharing.prefixes else 0
        self._cache = PrefixCache(capacity, chunks, len(self._calibration), itemsize, self._device)
        self._limit = HeapLimit(budget)
        self._results: dict[Architecture, Metrics] = {}
        self._totals = Totals()

    @property
    def totals(self) -> Totals:
        """What was done so far, and what sharing and racing saved."""
        return self._totals

    def statistics(self, arch: Architecture) -> Statistics:
        """Batch-norm statistics of `arch` on the calibration split."""
        images = self._normalised(torch.cat(self._calibration))
        return calibrate(self._supernet, [arch], images)[0]

    @torch.inference_mode()
    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """Accuracy (a fraction) and mean cross-entropy of each architecture; identical ones are scored once.

        Raises:
            UsageError: An architecture of another space.
        """
        began = time.monotonic()
        known = self._results
        fresh = in_network_order(self._supernet.space, [a for a in dict.fromkeys(archs) if a not in known])
        done, raced = 0.0, 0.0
        for start in range(0, len(fresh), GROUP):
            group = fresh[start : start + GROUP]
            results, ran, saved = self._group(group)
            done, raced = done + ran, raced + saved
            known.update(zip(group, results, strict=True))
        metrics = [dict(known[arch]) for arch in archs]
        while len(known) > CACHED_RESULTS:
            del known[next(iter(known))]
        macs = self._supernet.space.costs(archs)["macs"].sum() if archs else 0
        alone = float(macs) * (len(self._labels) + sum(map(len, self._calibration)))
        self._totals += Totals(len(archs), time.monotonic() - began, alone, alone - done - raced, raced)
        return [{self._prefix + name: value for name, value in values.items()} for values in metrics]

    def _group(self, archs: Sequence[Architecture]) -> tuple[list[Metrics], float, float]:
        """Metrics of different architectures, multiply-adds done, and those that racing saved."""
        trie = build_trie(self._supernet, archs, self._sharing)
        self._cache.admit(trie)
        population = Population(
            trie,
            self._cache,
            self._inputs,
            self._partition,
            self._limit,
            folding=self._sharing.folding,
        )
        scores, costs = Scores(len(archs), self._labels), self._supernet.space.costs(archs)
        objectives = () if self._racing is None else self._racing.objectives
        names = [objective.metric for objective in objectives if objective.metric in COST_NAMES]
        first = len(self._calibration)
        with self._autocast():
            population.calibrate(range(first))
            population.score(
                range(first, first + len(self._scored)), scores, racing=self._racing,
                costs=cost_matrix([torch.from_numpy(costs[name]) for name in names], len(archs)),
            )  # fmt: skip
        left_out = len(self._labels) - np.array(scores.counts)
        return scores.metrics(), population.macs, float((costs["macs"] * left_out).sum())

    def _inputs(self, index: int) -> Tensor:
        """Normalised images of a chunk: calibration batches first, then what is scored."""
        return self._normalised([*self._calibration, *self._scored][index])

    def _normalised(self, images: Tensor) -> Tensor:
        return self._preprocessing.normalise(images).contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == "float32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)


def in_network_order(space: SearchSpace, archs: Sequence[Architecture]) -> list[Architecture]:
    """Sorted by their genes, first gene first, so that common beginnings come together."""
    rows = space.indices(archs).tolist() if archs else []
    return [arch for _, arch in sorted(zip(rows, archs, strict=True), key=lambda pair: pair[0])]


def _check(split: str, precision: str, batch_size: int | None) -> None:
    if split not in ("validation", "test"):
        raise UsageError(f"split must be 'validation' or 'test', got {split!r}")
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f"precision must be 'float32' or 'bfloat16', got {precision!r}")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size must be at least 1, got {batch_size}")
