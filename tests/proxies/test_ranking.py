from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.proxies import aggregate, ranks

numbers = st.lists(
    st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 3)), min_size=1, max_size=20
)


@given(numbers)
def test_ranks_order_and_what_is_not_finite_comes_last(values: list[float]) -> None:
    found = ranks(values)
    assert found.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
    for a, ra in zip(values, found, strict=True):
        for b, rb in zip(values, found, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                assert (ra > rb) == (a > b)
            elif math.isfinite(a):
                assert ra > rb
            elif not math.isfinite(b):
                assert ra == rb


def test_aggregation_sums_logarithms_of_ranks() -> None:
    found = aggregate({"a": [1.0, 2.0, 3.0], "b": [5.0, math.nan, 7.0]})
    expected = [math.log(1 / 3) + math.log(2 / 3), math.log(2 / 3) + math.log(1 / 3), 0.0]
    assert found == pytest.approx(expected)


def test_one_column_keeps_its_order() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert np.array_equal(np.argsort(aggregate({"a": values})), np.argsort(values))
