from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.cluster.batches import Answer, Batch, partition, retried
from nas.evaluation import Failure
from nas.search_spaces import Architecture
from tests.spaces import SPACES

SPACE = SPACES["learned"]
ARCHS = list(dict.fromkeys(SPACE.architectures(SPACE.sample_choices(np.random.default_rng(0), 120))))


@given(st.lists(st.sampled_from(ARCHS), max_size=90), st.integers(1, 12), st.integers(1, 9))
def test_batches_hold_everything_once_in_network_order(archs: list[Architecture], most: int, workers: int) -> None:
    batches = partition(archs, most, workers)
    queue = [arch for batch in batches for arch in batch]
    assert sorted(a.digest for a in queue) == sorted({a.digest for a in archs})
    rows = [[-1 if value is None else value for value in arch.values] for arch in queue]
    assert rows == sorted(rows)
    sizes = {len(batch) for batch in batches}
    assert not sizes or (max(sizes) <= most and max(sizes) - min(sizes) <= 1 and min(sizes) >= 1)
    assert not batches or len(batches) % workers == 0 or len(batches) == len(queue)


@given(st.lists(st.sampled_from(ARCHS), min_size=1, unique=True), st.integers(1, 12), st.integers(1, 9), st.data())
def test_batches_cost_about_the_same(archs: list[Architecture], most: int, workers: int, data: st.DataObject) -> None:
    """None costs more than its share and what the architectures at its two ends cost."""
    costs = {arch: data.draw(st.integers(0, 1000)) for arch in archs}
    batches = partition(archs, most, workers, lambda queue: [costs[arch] for arch in queue])
    assert [arch for batch in batches for arch in batch] == [
        arch for batch in partition(archs, 99, 1) for arch in batch
    ]
    weights = {arch: max(1, cost) for arch, cost in costs.items()}
    count = min(len(archs), -(-len(archs) // (most * workers)) * workers)
    share, largest = sum(weights.values()) / count, max(weights.values())
    assert all(1 <= len(batch) <= most for batch in batches)
    assert all(sum(weights[arch] for arch in batch) <= share + largest + 1e-6 for batch in batches)


def test_costly_architectures_come_in_smaller_batches() -> None:
    costs = [9 if position < 8 else 1 for position in range(80)]
    assert [len(batch) for batch in partition(ARCHS[:80], 80, 2, lambda queue: costs)] == [8, 72]


def test_values_of_different_kinds_are_ordered() -> None:
    values: list[tuple[int | str | None, ...]] = [("b", 2), (3, None), (None, 1), (3, 10), (3, 9), ("a", 7)]
    archs = [Architecture("s", ("x", "y"), pair) for pair in values]
    (batch,) = partition(archs, 10, 1)
    assert [arch.values for arch in batch] == [(None, 1), (3, None), (3, 9), (3, 10), ("a", 7), ("b", 2)]


@given(st.integers(1, 40), st.data())
def test_an_architecture_answers_only_for_what_it_causes_alone(count: int, data: st.DataObject) -> None:
    """Whoever is guilty is given up, nobody else, and no innocent takes a share of the faults."""
    archs = ARCHS[:count]
    guilty = set(data.draw(st.lists(st.sampled_from(archs), unique=True)))
    kind = data.draw(st.sampled_from(["lost", "memory", "refused"]))
    queue, done, failed, alone = [Batch(0, tuple(archs))], list[Architecture](), list[Architecture](), 0
    while queue:
        batch = queue.pop()
        if not guilty.intersection(batch.archs):
            done.extend(batch.archs)
            continue
        alone += len(batch.archs) == 1
        again = retried(batch, Answer(kind, "its reason"))
        if isinstance(again, Failure):
            assert again.reason.startswith("its reason")
            failed.extend(batch.archs)
        else:
            queue.extend(again)
    assert set(failed) == guilty
    assert len(failed) == len(guilty)
    assert len(done) == len(archs) - len(guilty)
    assert alone == len(guilty) * (1 if kind == "refused" else 3)
