"""Metrics of sub-networks with inherited weights, a population at a time.

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

from nas.data.dataset import Dataset
from nas.errors import UsageError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.population.chunks import Chunks
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
from nas.supernets import Statistics, Supernet, calibrate, calibration_batch

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
        data: The examples: its calibration split for batch norms, `split` for scores.
        split: "validation" is what a search selects on; "test" is what no search sees, and its metrics begin with
            `test_`.
        batch_size: Most examples a pass while scoring, fewer where the budget asks for it; None: 2,500 on CUDA, on
            the CPU as many as a calibration batch has. Changes no result but for rounding.
        device: "cpu" or "cuda".
        budget_bytes: For everything that evaluating adds to the network, the data and the scores (4 bytes for each
            measure, example and architecture), with the cache; None: see `default_budget`, or more where one batch
            takes more. Changes no result but for rounding, and that only where it cuts passes.
        precision: "bfloat16" runs convolutions and linear layers so; results then differ a little.
        racing: Stops candidates that cannot win; their metrics have `partial_images`, and depend on who else is in
            the call. None: every architecture sees every example.
        sharing: What architectures of a call share, see `Sharing`.

    Raises:
        UsageError: The data do not fit the supernet, the race does not fit the task, no such split or precision, or a
            budget that is too small.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: Dataset,
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
        supernet.space.task.require(data.task, what="the data")
        if racing is not None:
            racing.check(data.task)
        self._supernet = supernet.to(device).eval()
        self._prefix = TEST_PREFIX if split == "test" else ""
        self._device, self._precision, self._racing, self._sharing = torch.device(device), precision, racing, sharing
        self._data = data
        # On the CPU passes of one size: oneDNN keeps a kernel a shape.
        largest = calibration_batch(supernet)
        first = -(-data.size("calibration") // max(1, -(-data.size("calibration") // largest)))
        batch_size = BATCH_SIZES.get(kind, first) if batch_size is None else batch_size
        budget = max(default_budget(device), smallest_budget(supernet, first)) if budget_bytes is None else budget_bytes
        batch, self._partition = partition(supernet, budget, batch_size, first)
        if racing is not None:  # a round ends with a pass
            batch = min(batch, -(-data.size(split) // racing.rounds))
        self._chunks = Chunks(
            data,
            split,
            calibration=largest if supernet.has_batch_norms else None,
            batch_size=batch,
            device=self._device,
        )
        itemsize = 4 if precision == "float32" else 2
        capacity = self._partition.cache if sharing.prefixes else 0
        chunks = self._chunks
        self._cache = PrefixCache(capacity, chunks.sizes, len(chunks.calibration), itemsize, self._device)
        self._limit = HeapLimit(budget)
        self._results: dict[Architecture, Metrics] = {}
        self._totals = Totals()

    @property
    def totals(self) -> Totals:
        """What was done so far, and what sharing and racing saved."""
        return self._totals

    def statistics(self, arch: Architecture) -> Statistics:
        """Batch-norm statistics of `arch` on the calibration split."""
        inputs, _ = self._data.batch("calibration", slice(None), device=self._device)
        return calibrate(self._supernet, [arch], inputs)[0]

    @torch.inference_mode()
    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """The task's metrics of each architecture, with standard errors; identical ones are scored once.

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
        alone = float(macs) * sum(self._chunks.sizes)
        self._totals += Totals(len(archs), time.monotonic() - began, alone, alone - done - raced, raced)
        return [{self._prefix + name: value for name, value in values.items()} for values in metrics]

    def _group(self, archs: Sequence[Architecture]) -> tuple[list[Metrics], float, float]:
        """Metrics of different architectures, multiply-adds done, and those that racing saved."""
        trie = build_trie(self._supernet, archs, self._sharing)
        self._cache.admit(trie)
        population = Population(
            trie, self._cache, self._chunks.__getitem__, self._partition, self._limit, folding=self._sharing.folding
        )
        scores = Scores(len(archs), self._data.task, self._chunks.examples, self._device)
        costs = self._supernet.space.costs(archs)
        objectives = () if self._racing is None else self._racing.objectives
        compared = [torch.from_numpy(costs[o.metric]) for o in objectives if o.metric in COST_NAMES]
        with self._autocast():
            population.calibrate(self._chunks.calibration)
            population.score(self._chunks.scored, scores, racing=self._racing, costs=cost_matrix(compared, len(archs)))
        left_out = self._chunks.examples - np.array(scores.counts)
        return scores.metrics(), population.macs, float((costs["macs"] * left_out).sum())

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
