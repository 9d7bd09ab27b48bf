from __future__ import annotations

import pytest

from nas import errors
from nas.errors import InfeasibleBudget, NasError, UnknownName, UsageError


def test_every_error_is_a_nas_error() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) >= 9
    assert all(issubclass(cls, NasError) for cls in classes)
    assert issubclass(UnknownName, UsageError)
    assert not issubclass(InfeasibleBudget, UsageError)


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    error = UnknownName("space", "mobilnet", {"mobilenet": 1, "cells": 2})
    assert str(error) == "unknown space 'mobilnet'. Did you mean 'mobilenet'? Known: cells, mobilenet"
    assert "Did you mean" not in str(UnknownName("space", "x", []))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InfeasibleBudget("macs", 3e6, 4_000_000), "macs <= 3,000,000; the smallest reachable value is 4,000,000"),
        (InfeasibleBudget("macs", 9e6, 8, sense=">="), "macs >= 9,000,000; the largest reachable value is 8"),
        (InfeasibleBudget("params", 1.5, 0), "params <= 1.5; the smallest reachable value is 0"),
        (InfeasibleBudget("params", 7, None), "params <= 7 together with the other bounds"),
    ],
)
def test_an_impossible_budget_names_what_can_be_reached(error: InfeasibleBudget, text: str) -> None:
    assert str(error) == f"no architecture has {text}"
    assert "\n" not in str(error)
