"""A space seen as a layered graph: one path per architecture, costs that add along the path."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """One decision.

    Args:
        source: State before the decision, an index into the previous layer's states.
        target: State after it.
        genes: (gene position, choice index) pairs that the decision fixes.
        params: Parameters it adds.
        macs: Multiply-adds it adds.
    """

    source: int
    target: int
    genes: tuple[tuple[int, int], ...]
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Trellis:
    """Layers of edges from state 0 of layer 0 to state 0 after the last layer.

    Every architecture that the trellis covers is exactly one path, and a path is an architecture.
    `fixed` is the gene setting all its paths share, `params` and `macs` their common cost.
    """

    layers: tuple[tuple[Edge, ...], ...]
    fixed: tuple[tuple[int, int], ...]
    params: int
    macs: int
