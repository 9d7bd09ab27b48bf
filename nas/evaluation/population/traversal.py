"""One chunk of examples through a trie, depth first, with a bound on the activations held for siblings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from torch import Tensor

from nas.evaluation.population.states import size_of
from nas.evaluation.population.trie import Node, Trie
from nas.supernets.steps import State

Run = Callable[[Node, State], State]
Leaf = Callable[[Node, State], None]


@final
class Traversal:
    """Runs chunks through a trie. Every node runs at most once a chunk while the held activations fit.

    Nothing is computed that no active architecture needs. A node runs when something behind it asks for its output, so
    what lies before a cached output does not run at all.

    Args:
        run: Runs a node's step on a state.
        leaf: Gets the output of every node at which architectures end.
        budget: Bytes of activations that may be held for siblings. What does not fit is computed again.
    """

    def __init__(self, run: Run, leaf: Leaf, *, budget: int) -> None:
        self._run, self._leaf, self._budget = run, leaf, budget
        self._held = 0

    def __call__(
        self, trie: Trie, x: Tensor, cached: Mapping[Node, State], store: Callable[[Node, State], None]
    ) -> None:
        """Run one chunk.

        Args:
            trie: The population.
            x: Inputs [B, ...].
            cached: Outputs that are known from an earlier pass of this chunk.
            store: Gets every other output.
        """
        self._cached, self._store = cached, store
        for root in trie.roots:
            self._visit(root, lambda: x)

    def _visit(self, node: Node, given: Callable[[], State]) -> None:
        if not node.active:
            return
        output = _Output(self, node, given)
        if node.members:
            self._leaf(node, output())
        for child in node.children.values():
            self._visit(child, output)
        output.drop()

    def compute(self, node: Node, given: Callable[[], State]) -> State:
        """The output of a node, from the cache or run now."""
        if (state := self._cached.get(node)) is not None:
            return state
        state = self._run(node, given())
        self._store(node, state)
        return state

    def hold(self, size: int) -> bool:
        """Whether so many more bytes may be held; they are counted until `release`."""
        if self._held + size > self._budget:
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        """Those bytes are free again."""
        self._held -= size


@final
class _Output:
    """A node's output. It is computed when first asked for, and again where it could not be held."""

    def __init__(self, traversal: Traversal, node: Node, given: Callable[[], State]) -> None:
        self._traversal, self._node, self._given = traversal, node, given
        self._state: State | None = None
        self._size = 0
        self._asked_again = bool(node.members) + sum(child.active > 0 for child in node.children.values()) > 1

    def __call__(self) -> State:
        if self._state is not None:
            return self._state
        state = self._traversal.compute(self._node, self._given)
        # Freed at once where nobody else will ask, so that the next step finds its memory in the processor's caches.
        if self._asked_again and self._traversal.hold(size := size_of(state)):
            self._state, self._size = state, size
        return state

    def drop(self) -> None:
        self._traversal.release(self._size)
        self._state, self._size = None, 0
