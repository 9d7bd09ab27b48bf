"""Architectures of a population as a trie over the keys of their steps: what they have in common is one path."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from nas.kernels.convolution import Convolution
from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet
from nas.supernets.steps import Step


@dataclass(frozen=True, slots=True)
class Sharing:
    """What members of a population share.

    Without widths every member gets bit by bit what it gets alone, so that a search repeats itself whoever is evaluated
    together with whom; with them, but for rounding.

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
        path: The keys from the start to here, equal for equal prefixes of any population.
        macs: Multiply-adds for one image from the start to here.
        children: By key.
        members: Positions of the architectures that end here.
        passing: How many architectures pass through or end here.
        alive: How many of them are still in the race.
        parts: Batch-norm statistics met here, by calibration batch.
        statistics: Those of all batches together.
        prepared: Convolutions ready for use, see `Context`; None where there is no room for them.
    """

    step: Step
    path: Hashable
    macs: int = 0
    children: dict[Hashable, Node] = field(default_factory=dict)
    members: list[int] = field(default_factory=list)
    passing: int = 0
    alive: int = 0
    parts: dict[int, Statistics] = field(default_factory=dict)
    statistics: Statistics | None = None
    prepared: dict[str, Convolution] | None = field(default_factory=dict)

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
        lines: For each architecture its nodes, from first to last.
    """

    roots: tuple[Node, ...]
    lines: tuple[tuple[Node, ...], ...]

    def nodes(self) -> Iterator[Node]:
        """All nodes, parents before children."""
        for root in self.roots:
            yield from root.walk()

    def retire(self, member: int) -> None:
        """Take an architecture out of the race: nodes that serve nobody else are not run any more."""
        for node in self.lines[member]:
            node.alive -= 1


def build_trie(supernet: Supernet, archs: Sequence[Architecture], sharing: Sharing = EXACT) -> Trie:
    """The trie of different architectures; children in the order in which they first appear.

    Args:
        supernet: Whose steps.
        archs: All different.
        sharing: What may be shared.
    """
    roots: dict[Hashable, Node] = {}
    lines = []
    for position, arch in enumerate(archs):
        path: Hashable = ()
        level, macs, line = roots, 0, list[Node]()
        for step in supernet.steps(arch):
            key = _key(step, position, sharing)
            path, macs = (path, key), macs + step.macs
            node = level.get(key)
            if node is None:
                node = level[key] = Node(step, path, macs)
            elif step.width > node.step.width:
                node.step, node.macs = step, max(node.macs, macs)
            node.passing += 1
            node.alive += 1
            line.append(node)
            level = node.children
        line[-1].members.append(position)
        lines.append(tuple(line))
    return Trie(tuple(roots.values()), tuple(lines))


def extra_macs(supernet: Supernet, archs: Sequence[Architecture]) -> list[int]:
    """Multiply-adds for one image of each of different architectures, less what one before it has in common with it."""
    seen, found = set[Hashable](), list[int]()
    for arch in archs:
        path: Hashable = ()
        extra = 0
        for step in supernet.steps(arch):
            path = (path, step.key, step.width)
            extra += 0 if path in seen else step.macs
            seen.add(path)
        found.append(extra)
    return found


def _key(step: Step, position: int, sharing: Sharing) -> Hashable:
    if not sharing.prefixes:
        return (position, step.key)
    return step.key if sharing.widths else (step.key, step.width)
