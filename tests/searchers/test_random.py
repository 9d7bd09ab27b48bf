from nas.searchers import Random
from nas.testing import SearcherContract


class TestRandom(SearcherContract):
    strategy = Random()
