"""Activations of prefixes kept from one population to the next, inside a budget of bytes."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nas.evaluation.shelves import Shelf, Shelves
from nas.evaluation.trie import Node, Trie
from nas.supernets.steps import State

FADING = 0.5  # what a call's interest in a prefix is worth in the next call


@dataclass(slots=True)
class Entry:
    """One prefix.

    Args:
        interest: How many architectures passed it, those of earlier calls faded.
        size: Bytes of its activations of all chunks.
        macs: Multiply-adds for one image that it saves.
        shelf: The activations by chunk; None before it is chosen.
        complete: Whether all chunks are there; only then is it used.
    """

    interest: float
    size: int
    macs: int
    shelf: Shelf | None = None
    complete: bool = False


@final
class PrefixCache:
    """Keeps what is likely to save most work a byte when the next population resembles this one.

    Args:
        capacity: Most bytes.
        chunks: Images of each chunk.
        itemsize: Bytes of a scalar.
        device: Where activations are.
    """

    def __init__(self, capacity: int, chunks: Sequence[int], itemsize: int, device: torch.device) -> None:
        self._capacity, self._bytes, self._chunks = capacity, sum(chunks) * itemsize, len(chunks)
        self._entries: dict[Hashable, Entry] = {}
        self._shelves = Shelves(capacity, device)

    def choose(self, trie: Trie) -> None:
        """Decide before a population is evaluated which of its prefixes to keep, and which old ones to forget."""
        offers = {
            path: Entry(FADING * old.interest, old.size, old.macs, old.shelf, old.complete)
            for path, old in self._entries.items()
        }
        for node in trie.nodes():
            if not node.step.width and node.step.macs and node.children and node.step.size:
                entry = offers.setdefault(node.path, Entry(0.0, node.step.size * self._bytes, node.macs))
                entry.interest += node.passing
        kept = {path: offers[path] for path in self._best(offers)}
        for path in self._entries.keys() - kept.keys():
            self._forget(path)
        self._entries = {}
        for path, entry in kept.items():
            entry.shelf = entry.shelf or self._shelves.take(entry.size, self._chunks)
            if entry.shelf is not None:
                self._entries[path] = entry

    def _best(self, offers: dict[Hashable, Entry]) -> Iterator[Hashable]:
        """Greedy by work saved a byte, less what an already chosen beginning of the prefix saves."""
        chosen, left = dict[Hashable, int](), self._capacity
        queue = [(-_worth(entry, 0), i, path) for i, (path, entry) in enumerate(offers.items())]
        heapq.heapify(queue)
        while queue:
            worth, i, path = heapq.heappop(queue)
            entry = offers[path]
            now = -_worth(entry, _saved_before(path, chosen))
            if now > worth:  # something before it was chosen since
                heapq.heappush(queue, (now, i, path))
            elif now < 0 and entry.size <= left:
                chosen[path], left = entry.macs, left - entry.size
                yield path

    def known(self, trie: Trie, chunk: int) -> dict[Node, State]:
        """What a traversal of this chunk need not run."""
        found = dict[Node, State]()
        for node in trie.nodes():
            entry = self._entries.get(node.path)
            if entry is not None and entry.complete and entry.shelf is not None:
                found[node] = entry.shelf[chunk]
        return found

    def keep(self, node: Node, chunk: int, state: State) -> None:
        """Take the output of a node, if it was chosen."""
        entry = self._entries.get(node.path)
        if entry is None or entry.complete or entry.shelf is None:
            return
        if not isinstance(state, Tensor) or not entry.shelf.put(chunk, state):
            self._forget(node.path)

    def settle(self) -> None:
        """After a population: use what has all its chunks from now on, forget what lacks some."""
        for path, entry in list(self._entries.items()):
            entry.complete = entry.shelf is not None and len(entry.shelf) == self._chunks
            if not entry.complete:
                self._forget(path)

    def _forget(self, path: Hashable) -> None:
        entry = self._entries.pop(path)
        if entry.shelf is not None:
            self._shelves.give_back(entry.shelf)


def _worth(entry: Entry, saved: int) -> float:
    return entry.interest * (entry.macs - saved) / entry.size


def _saved_before(path: Hashable, chosen: dict[Hashable, int]) -> int:
    """Multiply-adds that the longest chosen beginning of a path saves."""
    while isinstance(path, tuple) and path:
        path = path[0]
        if path in chosen:
            return chosen[path]
    return 0
