"""Contracts as classes for pytest, which has to be installed: a subclass has a test for every promise."""

from __future__ import annotations

from functools import partial

import pytest

from nas.search_spaces import SearchSpace, from_json
from nas.searchers import Searcher, Strategy
from nas.supernets import Supernet
from nas.testing import searcher, space, supernet
from nas.testing.promises import Promise
from nas.testing.searcher import SearcherCase
from nas.testing.space import SpaceCase


class SearchSpaceContract:
    """Subclasses give the fixture `space`, and `read_back` where `search_spaces.from_json` does not know it."""

    def read_back(self, text: str) -> SearchSpace:
        """The space that its JSON describes."""
        return from_json(text)

    @pytest.mark.parametrize("promise", space.PROMISES, ids=lambda promise: promise.name)
    def test_promise(self, space: SearchSpace, promise: Promise[SpaceCase]) -> None:
        """One promise of a search space."""
        promise.check(SpaceCase(space, self.read_back))


class SearcherContract:
    """Subclasses set `strategy`; `batch` and `batches` must take the search well past its first population."""

    strategy: Strategy
    batch = 6
    batches = 5

    @pytest.mark.parametrize("promise", searcher.PROMISES, ids=lambda promise: promise.name)
    def test_promise(self, promise: Promise[SearcherCase]) -> None:
        """One promise of a searcher."""
        promise.check(SearcherCase(partial(Searcher, strategy=self.strategy), self.batch, self.batches))


class SupernetContract:
    """Subclasses give the fixture `supernet`, whose family must be registered."""

    @pytest.mark.parametrize("promise", supernet.PROMISES, ids=lambda promise: promise.name)
    def test_promise(self, supernet: Supernet, promise: Promise[Supernet]) -> None:
        """One promise of a supernet."""
        promise.check(supernet)
