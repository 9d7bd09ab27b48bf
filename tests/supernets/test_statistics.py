from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UsageError
from nas.supernets import Statistics, pool


@settings(max_examples=30, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(2, 9), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_pooled_statistics_are_those_of_all_images(sizes: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    batches = [5 * torch.randn(n, 3, generator=generator, dtype=torch.float64) + n for n in sizes]
    parts = [Statistics({"a": (b.mean(0), b.var(0, unbiased=False))}, len(b)) for b in batches]
    together = torch.cat(batches)
    pooled = pool(parts)
    assert pooled.images == len(together)
    torch.testing.assert_close(pooled.layer("a")[0], together.mean(0))
    torch.testing.assert_close(pooled.layer("a")[1], together.var(0, unbiased=False))


def test_a_missing_layer_is_an_error() -> None:
    with pytest.raises(UsageError, match="'stem'"):
        Statistics({}, 4).layer("stem")
