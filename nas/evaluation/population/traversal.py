"""One chunk of images through a trie, depth first, with a bound on the activations that wait for siblings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from torch import Tensor

from nas.evaluation.population.trie import Node, Trie
from nas.supernets.steps import State

Run = Callable[[Node, State], State]
Leaf = Callable[[Node, State], None]


def size_of(state: State) -> int:
    """Bytes of a state, with what it only hands on."""
    return sum(t.numel() * t.element_size() for t in ((state,) if isinstance(state, Tensor) else state))


@final
class Traversal:
    """Runs chunks through a trie; every node at most once a chunk while the held activations fit.

    Nothing is computed that no architecture in the race needs: a node runs when something behind it asks for its
    output, so what lies before a kept activation is not run at all.

    Args:
        run: Runs a node's step on a state.
        leaf: Gets the output of every node at which architectures end.
        allowance: Bytes of activations that may wait for siblings; beyond it they are computed again.
    """

    def __init__(self, run: Run, leaf: Leaf, *, allowance: int) -> None:
        self._run, self._leaf, self._allowance = run, leaf, allowance
        self._held = 0

    def __call__(self, trie: Trie, x: Tensor, kept: Mapping[Node, State], keep: Callable[[Node, State], None]) -> None:
        """One chunk.

        Args:
            trie: The population.
            x: Images [B, C, H, W].
            kept: Outputs that are known from an earlier pass of this chunk.
            keep: Gets every other output.
        """
        self._kept, self._keep = kept, keep
        for root in trie.roots:
            self._visit(root, lambda: x)

    def _visit(self, node: Node, given: Callable[[], State]) -> None:
        if not node.alive:
            return
        output = _Output(self, node, given)
        if node.members:
            self._leaf(node, output())
        for child in node.children.values():
            self._visit(child, output)
        output.drop()

    def compute(self, node: Node, given: Callable[[], State]) -> State:
        """The output of a node, known or run now."""
        if (state := self._kept.get(node)) is not None:
            return state
        state = self._run(node, given())
        self._keep(node, state)
        return state

    def hold(self, size: int) -> bool:
        """Whether so many more bytes may be held; they are counted until `release`."""
        if self._held + size > self._allowance:
            return False
        self._held += size
        return True

    def release(self, size: int) -> None:
        """Those bytes are free again."""
        self._held -= size


@final
class _Output:
    """A node's output, computed when first asked for, and again where it could not be held."""

    def __init__(self, traversal: Traversal, node: Node, given: Callable[[], State]) -> None:
        self._traversal, self._node, self._given = traversal, node, given
        self._state: State | None = None
        self._size = 0
        self._asked_again = bool(node.members) + sum(child.alive > 0 for child in node.children.values()) > 1

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
