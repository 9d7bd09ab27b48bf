"""A trellis under one metric, in the form that counting needs: small costs, no dead ends, places to cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nas.search_spaces.trellis import Edge, Trellis

SEGMENT = 64  # paths from which on a segment ends at the next narrow boundary
States = dict[int, int]


class Move(NamedTuple):
    """An edge that lies on a path; `edge` is its position in the trellis's layer."""

    source: int
    target: int
    cost: int
    edge: int


Layers = Sequence[Sequence[Move]]


@dataclass(frozen=True)
class Graph:
    """Paths whose cost is `base + step * (sum of the costs of their moves)`.

    A move's cost is what it adds to the cheapest way on, so that none is negative and 0 always leads to the end.

    Args:
        layers: The moves.
        base: Cost of the cheapest path.
        step: Greatest common divisor of all differences of path costs; 1 where all are equal.
    """

    layers: tuple[tuple[Move, ...], ...]
    base: int
    step: int

    @cached_property
    def before(self) -> list[States]:
        """Per boundary and state: number of ways there."""
        return _onward(_turned(self.layers), 1, _skip, sum)[::-1]

    @cached_property
    def after(self) -> list[States]:
        """Per boundary and state: number of ways to the end."""
        return _onward(self.layers, 1, _skip, sum)

    @cached_property
    def nearest(self) -> list[States]:
        """Per boundary and state: cost of the cheapest way there."""
        return _onward(_turned(self.layers), 0, _add, min)[::-1]

    @cached_property
    def farthest(self) -> int:
        """Cost of the dearest path."""
        return _onward(self.layers, 0, _add, max)[0][0]

    @property
    def largest(self) -> int:
        """Cost of the dearest path in the metric's own unit."""
        return self.base + self.step * self.farthest

    def free(self) -> Graph:
        """The same paths at no cost."""
        return Graph(tuple(tuple(m._replace(cost=0) for m in layer) for layer in self.layers), 0, 1)

    def cuts(self) -> list[int]:
        """Boundaries, from the first to the last, with few states at each and a fair number of paths between two."""
        live, out = [len(states) for states in self.after], [0]
        for b in range(1, len(self.layers)):
            if live[b] <= min(live[b - 1], live[b + 1]) and self.ways(out[-1], b) >= SEGMENT:
                out.append(b)
        return [*out, len(self.layers)]

    def ways(self, start: int, stop: int) -> int:
        """Number of ways from any state at boundary `start` to any at `stop`."""
        ways = dict.fromkeys(self.after[start], 1)
        for layer in self.layers[start:stop]:
            arrived: States = {}
            for move in layer:
                arrived[move.target] = arrived.get(move.target, 0) + ways[move.source]
            ways = arrived
        return sum(ways.values())


def build(trellis: Trellis, metric: str) -> Graph:
    """`trellis` under the metric "params" or "macs"."""
    value = COSTS[metric]
    raw = [[Move(e.source, e.target, value(e), i) for i, e in enumerate(layer)] for layer in trellis.layers]
    rest = _onward(raw, 0, _add, min)
    reached = _onward(_turned(raw), 0, _add, min)[::-1]
    layers = [
        [
            move._replace(cost=move.cost + rest[b + 1][move.target] - rest[b][move.source])
            for move in layer
            if move.source in reached[b] and move.target in rest[b + 1]
        ]
        for b, layer in enumerate(raw)
    ]
    step = math.gcd(*(move.cost for layer in layers for move in layer)) or 1
    scaled = tuple(tuple(m._replace(cost=m.cost // step) for m in layer) for layer in layers)
    return Graph(scaled, value(trellis) + rest[0][0], step)


def _params(part: Edge | Trellis) -> int:
    return part.params


def _macs(part: Edge | Trellis) -> int:
    return part.macs


# The additive metrics.
COSTS: dict[str, Callable[[Edge | Trellis], int]] = {"params": _params, "macs": _macs}


def _add(cost: int, rest: int) -> int:
    return cost + rest


def _skip(cost: int, rest: int) -> int:
    return rest


def _turned(layers: Layers) -> Layers:
    """The graph walked from its end."""
    return [[Move(m.target, m.source, m.cost, m.edge) for m in layer] for layer in reversed(layers)]


def _onward(
    layers: Layers, last: int, value: Callable[[int, int], int], pick: Callable[[Iterable[int]], int]
) -> list[States]:
    """Per boundary and state with a way to the end: `pick` over its moves of value(cost, what follows)."""
    out: list[States] = [{0: last}]
    for layer in reversed(layers):
        found: dict[int, list[int]] = {}
        for move in layer:
            if move.target in out[-1]:
                found.setdefault(move.source, []).append(value(move.cost, out[-1][move.target]))
        out.append({state: pick(values) for state, values in found.items()})
    return out[::-1]
