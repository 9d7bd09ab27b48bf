"""One member of a search space: a value, never a module."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

Value = int | str


@dataclass(frozen=True, slots=True)
class Architecture:
    """One choice for every gene that exists; immutable, hashable, equal iff it builds the same network.

    Spaces create architectures (`space.architecture`, `space.sample`); this class only holds them.

    Args:
        space: Name of the space, such as "mobilenet".
        names: The space's gene names, one per position.
        values: The chosen value per position; None where the gene does not exist
            (a block beyond the chosen depth has no kernel).
    """

    space: str
    names: tuple[str, ...] = field(repr=False, hash=False)
    values: tuple[Value | None, ...]

    def __getitem__(self, name: str) -> Value:
        """The value of gene `name`; KeyError where it does not exist."""
        value = self.values[self.names.index(name)] if name in self.names else None
        if value is None:
            raise KeyError(name)
        return value

    @property
    def genes(self) -> dict[str, Value]:
        """The genes that exist, by name."""
        return {n: v for n, v in zip(self.names, self.values, strict=True) if v is not None}

    def to_json(self) -> dict[str, Any]:
        """A JSON document; `space.from_document` reads it back."""
        return {"space": self.space, "genes": self.genes}

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits, the same in every process and Python version."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
