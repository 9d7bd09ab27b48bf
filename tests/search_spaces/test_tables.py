from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.search_spaces.tables import (
    DenseTable,
    Table,
    Window,
    block_sums,
    collect,
    count_type,
    draw_below,
    product,
    quick,
    spread,
    window,
)

PROPERTY = settings(max_examples=80, deadline=None, derandomize=True)
pairs = st.dictionaries(st.integers(0, 60).map(lambda v: 3 * v), st.integers(1, 2**40), max_size=12)
KINDS = st.sampled_from([np.int64, object])


def table(entries: dict[int, int], kind: type = np.int64) -> Table:
    values = sorted(entries)
    return Table(np.array(values, dtype=np.int64), np.array([entries[v] for v in values], dtype=kind))


def entries(found: Table) -> dict[int, int]:
    assert (np.diff(found.values) > 0).all()
    return dict(zip(found.values.tolist(), found.counts.tolist(), strict=True))


def test_counts_that_could_overflow_are_python_integers() -> None:
    assert count_type(2**62 - 1) is np.int64
    assert count_type(2**62) is object


@PROPERTY
@given(pairs, KINDS)
def test_tables_answer_for_present_and_absent_costs(known: dict[int, int], kind: type) -> None:
    costs = np.arange(-5, 200).reshape(5, 41)
    expected = [[known.get(cost, 0) for cost in row] for row in costs.tolist()]
    own = table(known, kind)
    assert own.at(costs).tolist() == expected
    assert quick(own).at(costs).tolist() == expected
    assert DenseTable(3, spread(own, 3)).at(costs).tolist() == expected


def test_quick_goes_dense_only_where_that_is_small() -> None:
    assert isinstance(quick(table({0: 1, 3: 2, 9: 1})), DenseTable)
    assert isinstance(quick(table({0: 1, 1: 2, 10**9: 1})), Table)


@PROPERTY
@given(pairs, KINDS, st.none() | st.integers(1, 50), st.booleans())
def test_windows_count_intervals(known: dict[int, int], kind: type, width: int | None, dense: bool) -> None:
    own = table(known, kind)
    found = window(DenseTable(3, spread(own, 3)) if dense else own, width)
    assert isinstance(found, Window)
    for cost in range(-60, 200, 7):
        low = 0 if width is None else cost - width + 1
        assert found.at(np.array([cost])).tolist() == [sum(c for v, c in known.items() if low <= v <= cost)]


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9))), st.integers(-1, 50), KINDS, st.sampled_from([1, 99]))
def test_collect_adds_up(items: list[tuple[int, int]], high: int, kind: type, scale: int) -> None:
    expected: dict[int, int] = {}
    for value, count in items:
        if value * scale <= high:
            expected[value * scale] = expected.get(value * scale, 0) + count
    values = np.array([v for v, _ in items], dtype=np.int64) * scale
    assert entries(collect(values, np.array([c for _, c in items], dtype=kind), high)) == expected


@PROPERTY
@given(st.lists(st.tuples(pairs, pairs), max_size=3), st.integers(-1, 400), KINDS, st.sampled_from([1, 1000]))
def test_products_are_all_sums(
    own: list[tuple[dict[int, int], dict[int, int]]], high: int, kind: type, scale: int
) -> None:
    own = [tuple({v * scale: c % 1000 + 1 for v, c in side.items()} for side in pair) for pair in own]  # type: ignore[misc]
    expected: dict[int, int] = {}
    for a, b in own:
        for x, m in a.items():
            for y, n in b.items():
                if x + y <= high * scale:
                    expected[x + y] = expected.get(x + y, 0) + m * n
    assert entries(product([(table(a, kind), table(b, kind)) for a, b in own], high * scale)) == expected


@PROPERTY
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 62), st.integers(0, 61), st.integers(1, 9))
def test_block_sums_are_exact(seed: int, n: int, a_bits: int, b_bits: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 2**a_bits, size=n, endpoint=True), rng.integers(0, 2**b_bits, size=n, endpoint=True)
    products = [x * y for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    expected = [sum(products[at : at + block]) for at in range(0, n, block)]
    assert block_sums(a, b, block) == expected
    assert block_sums(a.astype(object), b, block) == expected


@pytest.mark.parametrize("bound", [1, 5, 256, 3 * 2**70])
def test_draws_are_uniform_below_any_bound(bound: int) -> None:
    drawn = draw_below(np.random.default_rng(0), np.array([bound] * 3000 + [None], dtype=object)[:-1]).tolist()
    assert all(0 <= value < bound for value in drawn)
    fifths = np.bincount([5 * value // bound for value in drawn], minlength=5) if bound >= 5 else np.full(5, 600)
    expected = [3000 * len(range(math.ceil(k * bound / 5), math.ceil((k + 1) * bound / 5))) / bound if bound < 2**20
                else 600 for k in range(5)] if bound >= 5 else [600] * 5  # fmt: skip
    assert (np.abs(fifths - np.array(expected)) < 5 * np.sqrt(600)).all()


def test_small_draws_have_their_own_bounds() -> None:
    drawn = draw_below(np.random.default_rng(0), np.tile(np.array([1, 2, 2**61]), (500, 1)).ravel()).reshape(-1, 3)
    assert (drawn[:, 0] == 0).all()
    assert set(drawn[:, 1].tolist()) == {0, 1}
    assert abs(drawn[:, 2].mean() / 2**60 - 1) < 0.1
