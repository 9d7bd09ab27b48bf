"""Activations of prefixes kept from one population to the next, inside a budget of bytes."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nas.evaluation.population.arena import Shelf, Shelves
from nas.evaluation.population.trie import Node, Trie
from nas.supernets import Statistics
from nas.supernets.steps import State

FADING = 0.5  # what a call's interest in a prefix is worth in the next call
UNSEEN = 64  # architectures of which nothing is kept


@dataclass(slots=True)
class Entry:
    """One prefix.

    Args:
        interest: How many architectures passed it, those of earlier calls faded.
        size: Bytes of its activations of all chunks.
        macs: Multiply-adds for one image that it saves.
        shelf: The activations by chunk; None before it is chosen. Racing leaves out chunks, later calls fill them.
        ready: Whether all calibration batches are there; only then is it used.
    """

    interest: float
    size: int
    macs: int
    shelf: Shelf | None = None
    ready: bool = False


@final
class PrefixCache:
    """Keeps what is likely to save most work a byte when the next population resembles this one.

    A first population says little about the next, and filling new memory costs time: nothing of it is kept, nor of what
    a worker sees of it, a few architectures a call.

    Args:
        capacity: Most bytes.
        chunks: Images of each chunk, calibration batches first.
        calibration: How many of them are calibration batches.
        itemsize: Bytes of a scalar.
        device: Where activations are.
    """

    def __init__(
        self, capacity: int, chunks: Sequence[int], calibration: int, itemsize: int, device: torch.device
    ) -> None:
        self._capacity, self._bytes, self._chunks = capacity, sum(chunks) * itemsize, len(chunks)
        self._calibration, self._seen = calibration, 0
        self._entries: dict[Hashable, Entry] = {}
        self._statistics: dict[Hashable, tuple[int, Statistics]] = {}  # with widths, of every step before an entry
        self._shelves = Shelves(capacity, device)

    def choose(self, trie: Trie) -> None:
        """Decide before a population is evaluated which of its prefixes to keep, and which old ones to forget."""
        offers = {
            path: Entry(FADING * old.interest, old.size, old.macs, old.shelf, old.ready)
            for path, old in self._entries.items()
        }
        for node in trie.nodes():
            if not node.step.width and node.step.macs and node.children and node.step.size:
                entry = offers.setdefault(node.path, Entry(0.0, node.step.size * self._bytes, node.macs))
                entry.interest += node.passing
        room, self._seen = self._capacity if self._seen >= UNSEEN else 0, self._seen + len(trie.lines)
        kept = {path: offers[path] for path in self._best(offers, room)}
        for path in self._entries.keys() - kept.keys():
            self._forget(path)
        self._entries = {}
        for path, entry in kept.items():
            entry.shelf = entry.shelf or self._shelves.take(entry.size, self._chunks)
            if entry.shelf is not None:
                self._entries[path] = entry

    def _best(self, offers: dict[Hashable, Entry], left: int) -> Iterator[Hashable]:
        """Greedy by work saved a byte, less what an already chosen beginning of the prefix saves, in `left` bytes."""
        chosen = dict[Hashable, int]()
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
            if entry is not None and entry.ready and entry.shelf is not None and chunk in entry.shelf:
                found[node] = entry.shelf[chunk]
        return found

    def keep(self, node: Node, chunk: int, state: State) -> None:
        """Take the output of a node, if it was chosen."""
        entry = self._entries.get(node.path)
        if entry is None or entry.shelf is None or chunk in entry.shelf:
            return
        if not isinstance(state, Tensor) or not entry.shelf.put(chunk, state):
            self._forget(node.path)

    def calibrated(self, trie: Trie) -> None:
        """After all calibration batches: give statistics to nodes that did not run, and use new prefixes from now on.

        A node that did not run has a known prefix behind it; where that lacks chunks it runs after all.
        """
        met = dict(self._statistics)
        for node in trie.nodes():
            width, known = met.get(node.path, (-1, None))
            if node.statistics is None and known is not None:
                node.statistics = known.narrowed(node.step.width)
            elif node.statistics is not None and node.step.width > width:
                met[node.path] = node.step.width, node.statistics
        for path, entry in list(self._entries.items()):
            entry.ready = entry.shelf is not None and all(chunk in entry.shelf for chunk in range(self._calibration))
            if not entry.ready:
                self._forget(path)
        ways = {beginning for path in self._entries for beginning in _beginnings(path)}
        self._statistics = {path: met[path] for path in ways if path in met}

    def _forget(self, path: Hashable) -> None:
        entry = self._entries.pop(path)
        if entry.shelf is not None:
            self._shelves.give_back(entry.shelf)


def _worth(entry: Entry, saved: int) -> float:
    return entry.interest * (entry.macs - saved) / entry.size


def _saved_before(path: Hashable, chosen: dict[Hashable, int]) -> int:
    """Multiply-adds that the longest chosen beginning of a path saves."""
    return next((chosen[beginning] for beginning in _beginnings(path)[1:] if beginning in chosen), 0)


def _beginnings(path: Hashable) -> list[Hashable]:
    """A path and what it begins with, longest first."""
    found = list[Hashable]()
    while isinstance(path, tuple) and path:
        found.append(path)
        path = path[0]
    return found
