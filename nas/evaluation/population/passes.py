"""One population through calibration and scoring, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from nas.evaluation.population.malloc import HeapLimit
from nas.evaluation.population.memory_budget import Room
from nas.evaluation.population.prefix_cache import PrefixCache
from nas.evaluation.population.racing import Racing, round_ends
from nas.evaluation.population.scores import Scores
from nas.evaluation.population.traversal import Run, Traversal
from nas.evaluation.population.trie import Node, Trie
from nas.kernels.convolution import Convolution
from nas.supernets import Statistics, pool
from nas.supernets.steps import Context, State, by_statistics


@final
class Population:
    """Different architectures on their way through the images.

    Args:
        trie: What they have in common.
        cache: Knows outputs of prefixes from earlier populations, and takes those of this one.
        normalised: Images [B, C, H, W] of a chunk, by its number.
        room: Bytes.
        limit: Of all of them together.
        folding: Whether batch norms are folded while scoring.
    """

    def __init__(
        self, trie: Trie, cache: PrefixCache, normalised: Callable[[int], Tensor], room: Room, limit: HeapLimit, *,
        folding: bool,
    ) -> None:  # fmt: skip
        self._trie, self._cache, self._normalised, self._folding = trie, cache, normalised, folding
        self._room, self._limit = room, limit
        self._weights_left = 0
        self.macs = 0.0  # multiply-adds done so far

    def calibrate(self, chunks: Sequence[int]) -> None:
        """Measure the batch norms of every node that runs; the statistics of all chunks are pooled.

        Args:
            chunks: One a calibration batch.
        """
        self._weights_left = self._room.weights
        for chunk in chunks:

            def run(node: Node, state: State, chunk: int = chunk) -> State:
                state, node.parts[chunk] = node.step.measure(state, _prepared(node))
                return state

            self._pass(chunk, run, lambda *_: None)
        for node in self._trie.nodes():
            if node.parts:
                node.statistics, node.parts = pool(list(node.parts.values())), {}
            node.prepared = {}
        self._cache.calibrated(self._trie)

    def score(self, chunks: Sequence[int], scores: Scores, *, racing: Racing | None, costs: Tensor) -> None:
        """Show the images, in rounds where there is a race.

        Args:
            chunks: What to show, in the order of the answers.
            scores: Takes the answers.
            racing: Who may be stopped; None for nobody.
            costs: [M, K], see `Racing.losers`.
        """
        self._weights_left = self._room.weights
        ends = round_ends(len(chunks), racing.rounds) if racing is not None else []
        alive, start = list(range(len(self._trie.lines))), 0
        for done, chunk in enumerate(chunks, 1):
            shown = 0

            def leaf(node: Node, logits: State, start: int = start) -> None:
                nonlocal shown
                assert isinstance(logits, Tensor)
                shown = len(logits)
                for member in node.members:
                    scores.add(member, start, logits)

            self._pass(chunk, self._scored, leaf)
            start += shown
            if racing is not None and done in ends:
                lost = set(racing.losers(scores, alive, costs))
                alive = [member for member in alive if member not in lost]
                for member in lost:
                    self._trie.retire(member)

    def _scored(self, node: Node, state: State) -> State:
        statistics = node.statistics if node.statistics is not None else Statistics({}, 0)  # a step without norms
        folded = statistics if self._folding else None
        return node.step.body(state, Context(by_statistics(statistics), folded=folded, prepared=_prepared(node)))

    def _pass(self, chunk: int, run: Run, leaf: Callable[[Node, State], None]) -> None:
        images = self._normalised(chunk)

        def counted(node: Node, state: State) -> State:
            fresh = node.prepared is not None and not node.prepared
            state = run(node, state)
            self.macs += node.step.macs * len(images)
            if fresh:
                self._make_room(node)
            return state

        def checked(node: Node, state: State) -> None:
            leaf(node, state)
            self._limit.check()

        traversal = Traversal(counted, checked, allowance=self._room.waiting)
        known = self._cache.known(self._trie, chunk)
        traversal(self._trie, images, known, lambda node, state: self._cache.keep(node, chunk, state))

    def _make_room(self, node: Node) -> None:
        """Keep the weights that a node has just prepared, or do without."""
        assert node.prepared is not None
        size = sum(t.numel() * t.element_size() for made in node.prepared.values() for t in made.weights)
        if size > self._weights_left:
            node.prepared = None
        else:
            self._weights_left -= size


def _prepared(node: Node) -> dict[str, Convolution]:
    """Where convolutions are kept; without room for them they are made anew, so that the same kernels run."""
    return {} if node.prepared is None else node.prepared


@torch.no_grad()
def prices(costs: Sequence[Tensor], members: int) -> Tensor:
    """[M, K] of K costs [M]; K may be 0."""
    return torch.stack([cost.double() for cost in costs], 1) if costs else torch.empty(members, 0)
