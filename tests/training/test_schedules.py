from __future__ import annotations

import pytest

from nas.training.schedules import cosine, exponential_with_constant_ending, warmed_up


def test_cosine_ends() -> None:
    assert cosine(0.0) == pytest.approx(1.0)
    assert cosine(0.5) == pytest.approx(0.5)
    assert cosine(1.0) == pytest.approx(0.0)


def test_exponential_reaches_its_floor_and_stays() -> None:
    schedule = exponential_with_constant_ending(floor=0.05, reached=0.65)
    assert schedule(0.0) == 1.0
    assert schedule(0.325) == pytest.approx(0.05**0.5)
    assert schedule(0.65) == pytest.approx(0.05)
    assert schedule(0.9) == 0.05


def test_warm_up_rises_to_the_schedule() -> None:
    schedule = warmed_up(cosine, 0.1)
    values = [schedule(i / 100) for i in range(10)]
    assert values == sorted(values)
    assert 0 < values[0] < 0.02
    assert schedule(0.1) == pytest.approx(1.0)
    assert schedule(1.0) == pytest.approx(0.0)
