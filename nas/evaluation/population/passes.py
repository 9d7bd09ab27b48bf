"""One population through calibration and scoring, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import final

import torch
from torch import Tensor

from nas.evaluation.population.malloc import HeapLimit
from nas.evaluation.population.memory_budget import Partition
from nas.evaluation.population.prefix_cache import PrefixCache
from nas.evaluation.population.racing import Racing, round_ends
from nas.evaluation.population.scores import Scores
from nas.evaluation.population.traversal import Leaf, Run, Traversal
from nas.evaluation.population.trie import Node, Trie
from nas.supernets import Statistics, pool
from nas.supernets.steps import Context, Prepared, State, by_statistics


@final
class Population:
    """Different architectures that are evaluated together.

    Args:
        trie: What they have in common.
        cache: Knows outputs of prefixes from earlier populations, and takes those of this one.
        batch: Inputs [B, ...] and targets of a chunk, by its number.
        partition: Bytes for each use.
        limit: Of the whole heap.
        folding: Whether batch norms are folded while scoring.
    """

    def __init__(
        self, trie: Trie, cache: PrefixCache, batch: Callable[[int], tuple[Tensor, Tensor]], partition: Partition,
        limit: HeapLimit, *, folding: bool,
    ) -> None:  # fmt: skip
        self._trie, self._cache, self._batch, self._folding = trie, cache, batch, folding
        self._partition, self._limit = partition, limit
        self._weights_left = 0
        self.macs = 0.0  # multiply-adds done so far

    def calibrate(self, chunks: Sequence[int]) -> None:
        """Measure the batch norms of every node that runs. The statistics of all chunks are pooled.

        Args:
            chunks: One a calibration batch.
        """
        self._weights_left = self._partition.weights
        for chunk in chunks:
            self._pass(chunk, self._batch(chunk)[0], partial(self._measure, chunk), lambda *_: None)
        for node in self._trie.nodes():
            if node.measured:
                node.statistics, node.measured = pool(list(node.measured.values())), {}
            node.prepared = {}
        self._cache.finish_calibration(self._trie)

    def score(self, chunks: Sequence[int], scores: Scores, *, racing: Racing | None, costs: Tensor) -> None:
        """Score the members on the examples, in rounds if there is a race.

        Args:
            chunks: What to score on, in the order of the examples of `scores`.
            scores: Takes the outputs.
            racing: Decides who is stopped; None stops nobody.
            costs: [M, K], see `Racing.eliminated`.
        """
        self._weights_left = self._partition.weights
        ends = round_ends(len(chunks), racing.rounds) if racing is not None else []
        active, start = list(range(len(self._trie.paths))), 0
        for done, chunk in enumerate(chunks, 1):
            inputs, targets = self._batch(chunk)
            self._pass(chunk, inputs, self._run, partial(_add, scores, start, targets))
            start += len(inputs)
            if racing is not None and done in ends:
                eliminated = set(racing.eliminated(scores, active, costs))
                active = [member for member in active if member not in eliminated]
                for member in eliminated:
                    self._trie.stop(member)

    def _measure(self, chunk: int, node: Node, state: State) -> State:
        state, node.measured[chunk] = node.step.measure(state, _prepared(node))
        return state

    def _run(self, node: Node, state: State) -> State:
        statistics = node.statistics if node.statistics is not None else Statistics({}, 0)  # a step without norms
        folded = statistics if self._folding else None
        return node.step.body(state, Context(by_statistics(statistics), folded=folded, prepared=_prepared(node)))

    def _pass(self, chunk: int, inputs: Tensor, run: Run, leaf: Leaf) -> None:
        def counted(node: Node, state: State) -> State:
            fresh = node.prepared is not None and not node.prepared
            state = run(node, state)
            self.macs += node.step.macs * len(inputs)
            if fresh:
                self._charge_weights(node)
            return state

        def checked(node: Node, state: State) -> None:
            leaf(node, state)
            self._limit.check()

        traversal = Traversal(counted, checked, budget=self._partition.siblings)
        cached = self._cache.lookup(self._trie, chunk)
        traversal(self._trie, inputs, cached, lambda node, state: self._cache.store(node, chunk, state))

    def _charge_weights(self, node: Node) -> None:
        """Keep the weights that a node has just prepared if they fit in the budget."""
        assert node.prepared is not None
        size = sum(made.nbytes for made in node.prepared.values())
        if size > self._weights_left:
            node.prepared = None
        else:
            self._weights_left -= size


def _prepared(node: Node) -> dict[Hashable, Prepared]:
    """Where a step keeps prepared weights. If they do not fit they are made anew, so that the same kernels run."""
    return {} if node.prepared is None else node.prepared


def _add(scores: Scores, start: int, targets: Tensor, node: Node, outputs: State) -> None:
    assert isinstance(outputs, Tensor)
    for member in node.members:
        scores.add(member, start, outputs, targets)


@torch.no_grad()
def cost_matrix(costs: Sequence[Tensor], members: int) -> Tensor:
    """[M, K] of K costs [M]; K may be 0."""
    return torch.stack([cost.double() for cost in costs], 1) if costs else torch.empty(members, 0)
