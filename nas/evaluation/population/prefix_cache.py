"""Activations of prefixes kept from one population to the next, inside a budget of bytes."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch

from nas.evaluation.population.arena import Arena, Block
from nas.evaluation.population.states import size_of, tensors_of
from nas.evaluation.population.trie import Node, Trie
from nas.supernets import Statistics
from nas.supernets.steps import State

DECAY = 0.5  # a prefix's demand in one call counts for so much in the next
WARM_UP = 64  # architectures of which nothing is cached


@dataclass(slots=True)
class Entry:
    """One prefix.

    Args:
        demand: How many architectures had it; those of earlier calls count less.
        size: Bytes of its activations of all chunks.
        tensors: How many tensors these are.
        macs: Multiply-adds for one example that it saves.
        block: The activations by chunk; None before it is admitted. Racing leaves out chunks, later calls add them.
        ready: Whether all calibration batches are there. Only then it is used.
    """

    demand: float
    size: int
    tensors: int
    macs: int
    block: Block | None = None
    ready: bool = False


@final
class PrefixCache:
    """Caches the prefixes that save most work a byte if the next population is like this one.

    A first population says little about the next one, and filling new memory costs time. So nothing of the first
    architectures is cached. A worker of a pool, which sees a few a call, caches nothing of its first calls either.

    Args:
        capacity: Most bytes.
        chunks: Examples of each chunk, calibration batches first.
        calibration: How many of them are calibration batches.
        itemsize: Bytes of a scalar.
        device: Where activations are.
    """

    def __init__(
        self, capacity: int, chunks: Sequence[int], calibration: int, itemsize: int, device: torch.device
    ) -> None:
        self._capacity, self._chunks, self._calibration, self._itemsize = capacity, chunks, calibration, itemsize
        self._architectures = 0  # of earlier calls
        self._entries: dict[Hashable, Entry] = {}
        self._statistics: dict[Hashable, tuple[int, Statistics]] = {}  # with widths, of every step before an entry
        self._sizes: dict[tuple[Hashable, int], tuple[int, int]] = {}  # see `_size`
        self._arena = Arena(capacity, device)

    def admit(self, trie: Trie) -> None:
        """Decide, before a population is evaluated, which of its prefixes to cache, and evict old ones."""
        candidates = {
            prefix: Entry(DECAY * old.demand, old.size, old.tensors, old.macs, old.block, old.ready)
            for prefix, old in self._entries.items()
        }
        for node in filter(_can_be_cached, trie.nodes()):
            entry = candidates.get(node.prefix)
            if entry is None:
                size, tensors = self._size(node)
                entry = candidates[node.prefix] = Entry(
                    0.0, size * sum(self._chunks), tensors * len(self._chunks), node.macs
                )
            entry.demand += node.architectures
        capacity = self._capacity if self._architectures >= WARM_UP else 0
        self._architectures += len(trie.paths)
        selected = {prefix: candidates[prefix] for prefix in _selected(candidates, capacity)}
        for prefix in self._entries.keys() - selected.keys():
            self._evict(prefix)
        self._entries = {}
        for prefix, entry in selected.items():
            entry.block = entry.block or self._arena.allocate(entry.size, entry.tensors)
            if entry.block is not None:
                self._entries[prefix] = entry

    def lookup(self, trie: Trie, chunk: int) -> dict[Node, State]:
        """The outputs of this chunk that a traversal need not compute."""
        hits = dict[Node, State]()
        for node in trie.nodes():
            entry = self._entries.get(node.prefix)
            if entry is not None and entry.ready and entry.block is not None and chunk in entry.block:
                hits[node] = entry.block[chunk]
        return hits

    def store(self, node: Node, chunk: int, state: State) -> None:
        """Take the output of a node, if its prefix was admitted."""
        if _can_be_cached(node):
            self._measure(node, chunk, state)
        entry = self._entries.get(node.prefix)
        if entry is None or entry.block is None or chunk in entry.block:
            return
        if not entry.block.put(chunk, state):
            self._evict(node.prefix)

    def finish_calibration(self, trie: Trie) -> None:
        """After all calibration batches: give statistics to nodes that did not run, and use new entries from now on.

        A node that did not run is before a cached prefix. Where chunks of that are missing, the node runs after all.
        """
        measured = dict(self._statistics)
        for node in trie.nodes():
            width, known = measured.get(node.prefix, (-1, None))
            if node.statistics is None and known is not None:
                node.statistics = known.narrowed(node.step.width)
            elif node.statistics is not None and node.step.width > width:
                measured[node.prefix] = node.step.width, node.statistics
        for prefix, entry in list(self._entries.items()):
            entry.ready = entry.block is not None and all(chunk in entry.block for chunk in range(self._calibration))
            if not entry.ready:
                self._evict(prefix)
        needed = {shorter for prefix in self._entries for shorter in _prefixes(prefix)}
        self._statistics = {prefix: measured[prefix] for prefix in needed if prefix in measured}

    def _size(self, node: Node) -> tuple[int, int]:
        """Bytes and tensors of a node's output for one example.

        A step says what it computes. What it passes on besides is only known from its outputs.
        """
        return self._sizes.get((node.step.key, node.step.size), (node.step.size * self._itemsize, 1))

    def _measure(self, node: Node, chunk: int, state: State) -> None:
        known = self._size(node)
        size, tensors = -(-size_of(state) // self._chunks[chunk]), len(tensors_of(state))
        if size > known[0] or tensors > known[1]:
            self._sizes[node.step.key, node.step.size] = max(size, known[0]), max(tensors, known[1])

    def _evict(self, prefix: Hashable) -> None:
        entry = self._entries.pop(prefix)
        if entry.block is not None:
            self._arena.free(entry.block)


def _can_be_cached(node: Node) -> bool:
    return bool(not node.step.width and node.step.macs and node.children and node.step.size)


def _selected(candidates: dict[Hashable, Entry], left: int) -> Iterator[Hashable]:
    """Greedy by work saved a byte, less what an already selected shorter prefix saves, in `left` bytes."""
    selected = dict[Hashable, int]()
    queue = [(-_value(entry, 0), i, prefix) for i, (prefix, entry) in enumerate(candidates.items())]
    heapq.heapify(queue)
    while queue:
        value, i, prefix = heapq.heappop(queue)
        entry = candidates[prefix]
        now = -_value(entry, _saved_before(prefix, selected))
        if now > value:  # a shorter prefix was selected since
            heapq.heappush(queue, (now, i, prefix))
        elif now < 0 and entry.size <= left:
            selected[prefix], left = entry.macs, left - entry.size
            yield prefix


def _value(entry: Entry, saved: int) -> float:
    """Work that an entry saves a byte."""
    return entry.demand * (entry.macs - saved) / entry.size


def _saved_before(prefix: Hashable, selected: dict[Hashable, int]) -> int:
    """Multiply-adds that the longest selected shorter prefix saves."""
    return next((selected[shorter] for shorter in _prefixes(prefix)[1:] if shorter in selected), 0)


def _prefixes(prefix: Hashable) -> list[Hashable]:
    """A prefix and all shorter ones, longest first."""
    prefixes = list[Hashable]()
    while isinstance(prefix, tuple) and prefix:
        prefixes.append(prefix)
        prefix = prefix[0]
    return prefixes
