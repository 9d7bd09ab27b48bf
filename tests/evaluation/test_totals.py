from __future__ import annotations

from nas.evaluation import Totals


def test_what_was_done_since_is_a_difference() -> None:
    first, then = Totals(3, 1.5, 30.0, 10.0, 2.0), Totals(4, 0.5, 50.0, 5.0, 1.0)
    assert first + then == Totals(7, 2.0, 80.0, 15.0, 3.0)
    assert (first + then) - first == then
    assert first - first == Totals()


def test_shares_of_nothing_are_zero() -> None:
    assert set(Totals().to_json().values()) == {0}
    assert Totals(4, 2.0, 100.0, 25.0, 10.0).to_json() == {
        "architectures": 4,
        "evaluation_s": 2.0,
        "architectures_per_s": 2.0,
        "share_saved_by_prefixes": 0.25,
        "share_saved_by_racing": 0.1,
    }
