from nas.searchers import Random
from tests.contracts.searcher import SearcherContract


class TestRandom(SearcherContract):
    strategy = Random()
