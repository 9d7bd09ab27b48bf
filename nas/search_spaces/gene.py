"""One decision of a search space, and which decisions exist under which others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from nas.errors import UnknownName, UsageError
from nas.search_spaces.architecture import Value

Indices = NDArray[np.int16]  # [N, D], position of the chosen value in `gene.choices`; -1: the gene does not exist
ABSENT = -1
_Check = tuple[int, NDArray[np.bool_]]  # a parent's position; [choices + 1], which of its choices allow; last: absent


@dataclass(frozen=True, slots=True)
class Gene:
    """One decision.

    Args:
        name: What tells it from the others of its space, such as "stage2.block1.kernel".
        choices: Its values, smallest first.
        kind: What it decides, in the words of its family: "resolution", "width", "depth", "kernel", "operation", ...
        conditions: It exists where each of these genes exists and has one of these values. They come before it in
            the space; without any it always exists.
    """

    name: str
    choices: tuple[Value, ...]
    kind: str
    conditions: Mapping[str, tuple[Value, ...]] = field(default_factory=dict, hash=False)


@final
class Existence:
    """Which genes of a space exist, for whole populations.

    Args:
        genes: Every gene of the space.

    Raises:
        UsageError: A name comes twice, a condition names a gene that does not come before, or no choice of it.
        UnknownName: A condition names no gene.
    """

    def __init__(self, genes: Sequence[Gene]) -> None:
        position = {gene.name: d for d, gene in enumerate(genes)}
        if len(position) < len(genes):
            raise UsageError(f"{len(genes)} genes have {len(position)} different names; give each its own")
        self._checks = [_checks(genes, d, position) for d in range(len(genes))]
        # Neighbours under the same conditions are looked at together.
        keys = [tuple((parent, allowed.tobytes()) for parent, allowed in checks) for checks in self._checks]
        runs = [list(run) for _, run in itertools.groupby(range(len(genes)), keys.__getitem__)]
        self._runs = [(run, self._checks[run[0]]) for run in runs if keys[run[0]]]
        self._parents = sorted({parent for checks in self._checks for parent, _ in checks})

    def __call__(self, indices: Indices) -> NDArray[np.bool_]:
        """[N, D]: which genes exist under these choices; choices of absent genes do not matter."""
        out = np.ones(indices.shape, dtype=bool)
        chosen = {parent: indices[:, parent].astype(np.intp) for parent in self._parents}
        for columns, checks in self._runs:  # parents come first
            met = _all_met(checks, chosen, len(indices))
            for parent, _ in checks:
                if self._checks[parent]:
                    met &= out[:, parent]
            for column in columns:
                out[:, column] = met
        return out

    def parents(self, gene: int) -> list[int]:
        """The genes that decide whether this one exists."""
        return [parent for parent, _ in self._checks[gene]]

    def of(self, gene: int, rows: Indices) -> NDArray[np.bool_]:
        """[N]: whether one gene exists in rows where absent parents are -1; no other column is looked at."""
        checks = self._checks[gene]
        return _all_met(checks, {parent: rows[:, parent].astype(np.intp) for parent, _ in checks}, len(rows))


def _all_met(checks: Sequence[_Check], chosen: Mapping[int, NDArray[np.intp]], n: int) -> NDArray[np.bool_]:
    """[n]: whether the choices of all parents allow the gene."""
    if not checks:
        return np.ones(n, dtype=bool)
    met, *others = (allowed[chosen[parent]] for parent, allowed in checks)
    for other in others:
        met &= other
    return met


def _checks(genes: Sequence[Gene], d: int, position: Mapping[str, int]) -> list[_Check]:
    out = []
    for name, values in genes[d].conditions.items():
        if name not in position:
            raise UnknownName(f"gene in the conditions of {genes[d].name!r}", name, list(position))
        parent = genes[position[name]]
        if position[name] >= d:
            raise UsageError(f"gene {genes[d].name!r} depends on {name!r}, which must come before it")
        if not values or not set(values) <= set(parent.choices):
            raise UsageError(
                f"gene {genes[d].name!r} exists under {name} in {list(values)}; take choices of {list(parent.choices)}"
            )
        out.append((position[name], np.array([choice in values for choice in parent.choices] + [False])))
    return out
