"""Architectures of a population as a trie over the keys of their steps. What they have in common is one path."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet
from nas.supernets.steps import Prepared, Step


@dataclass(frozen=True, slots=True)
class Sharing:
    """What members of a population share.

    Without widths every member gets bit by bit what it gets alone, so a search repeats itself whoever is evaluated with
    whom. With widths results are equal but for rounding.

    Args:
        prefixes: Equal beginnings.
        widths: Steps that differ only in width run once, at the widest.
        folding: Batch norms are folded into convolutions while scoring.
    """

    prefixes: bool = True
    widths: bool = False
    folding: bool = True


EXACT = Sharing()
ALL = Sharing(widths=True)


@dataclass(slots=True, eq=False)
class Node:
    """One step of all the architectures that pass through it.

    Args:
        step: The widest of their steps.
        prefix: The keys from the start to here, equal for equal prefixes of any population.
        macs: Multiply-adds for one example from the start to here.
        children: By key.
        members: Positions of the architectures that end here.
        architectures: How many pass through or end here.
        active: How many of them still need results.
        measured: Batch-norm statistics of single calibration batches, by chunk.
        statistics: Those of all batches together.
        prepared: What the step made ready, see `Context`; None where it does not fit in the budget.
    """

    step: Step
    prefix: Hashable
    macs: int = 0
    children: dict[Hashable, Node] = field(default_factory=dict)
    members: list[int] = field(default_factory=list)
    architectures: int = 0
    active: int = 0
    measured: dict[int, Statistics] = field(default_factory=dict)
    statistics: Statistics | None = None
    prepared: dict[Hashable, Prepared] | None = field(default_factory=dict)

    def walk(self) -> Iterator[Node]:
        """The node and everything behind it, parents first."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Trie:
    """A population.

    Args:
        roots: The first steps.
        paths: For each architecture its nodes, from first to last.
    """

    roots: tuple[Node, ...]
    paths: tuple[tuple[Node, ...], ...]

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents before children."""
        for root in self.roots:
            yield from root.walk()

    def stop(self, member: int) -> None:
        """Run nothing more for an architecture. Nodes that it shares go on for the others."""
        for node in self.paths[member]:
            node.active -= 1


def build_trie(supernet: Supernet, archs: Sequence[Architecture], sharing: Sharing = EXACT) -> Trie:
    """The trie of different architectures; children in the order in which they first appear.

    Args:
        supernet: Whose steps.
        archs: All different.
        sharing: What may be shared.
    """
    roots: dict[Hashable, Node] = {}
    paths = []
    for member, arch in enumerate(archs):
        prefix: Hashable = ()
        level, macs, nodes = roots, 0, list[Node]()
        for step in supernet.steps(arch):
            key = _key(step, member, sharing)
            prefix, macs = (prefix, key), macs + step.macs
            node = level.get(key)
            if node is None:
                node = level[key] = Node(step, prefix, macs)
            elif step.width > node.step.width:
                node.step, node.macs = step, max(node.macs, macs)
            node.architectures += 1
            node.active += 1
            nodes.append(node)
            level = node.children
        nodes[-1].members.append(member)
        paths.append(tuple(nodes))
    return Trie(tuple(roots.values()), tuple(paths))


def marginal_macs(supernet: Supernet, archs: Sequence[Architecture]) -> list[int]:
    """Multiply-adds for one example of each of different architectures, without those of prefixes seen before it."""
    seen, costs = set[Hashable](), list[int]()
    for arch in archs:
        prefix: Hashable = ()
        macs = 0
        for step in supernet.steps(arch):
            prefix = (prefix, step.key, step.width)
            macs += 0 if prefix in seen else step.macs
            seen.add(prefix)
        costs.append(macs)
    return costs


def _key(step: Step, member: int, sharing: Sharing) -> Hashable:
    if not sharing.prefixes:
        return (member, step.key)
    return step.key if sharing.widths else (step.key, step.width)
