"""Whether a space, a searcher or a supernet keeps its contract, for whoever brings one.

`check_space`, `check_searcher` and `check_supernet` need no pytest. The contract classes are for pytest: a test class
that inherits one has a test for every promise. Names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.testing.contracts import SearcherContract, SearchSpaceContract, SupernetContract
    from nas.testing.searcher import check_searcher
    from nas.testing.space import check_space
    from nas.testing.supernet import check_supernet

__all__ = [
    "SearchSpaceContract",
    "SearcherContract",
    "SupernetContract",
    "check_searcher",
    "check_space",
    "check_supernet",
]

_HOMES = {
    "SearchSpaceContract": "contracts",
    "SearcherContract": "contracts",
    "SupernetContract": "contracts",
    "check_searcher": "searcher",
    "check_space": "space",
    "check_supernet": "supernet",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"nas.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nas.testing' has no attribute {name!r}")
