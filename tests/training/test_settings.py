from __future__ import annotations

import math

import pytest

from nas.errors import UsageError
from nas.training import Settings


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ((0, 32, 0.1, 0), "epochs >= 1"),
        ((1, 1, 0.1, 0), "batch size >= 2"),
        ((1, 32, math.nan, 0), "learning rate"),
        ((1, 32, 0.1, -1), "seed"),
    ],
)
def test_numbers_out_of_range_are_refused(values: tuple[int, int, float, int], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        Settings(*values)


def test_the_device_is_no_part_of_the_identity() -> None:
    assert Settings(1, 32, 0.1, 0, "cuda").identity == Settings(1, 32, 0.1, 0, "cpu").identity
    assert Settings(1, 32, 0.1, 0).identity != Settings(1, 32, 0.1, 1).identity
