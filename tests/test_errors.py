from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nas import errors
from nas.cli.common import FAILURE, WRONG_USE, described
from nas.errors import InfeasibleBudget, NasError, UnknownName, UsageError, WriteError


def test_every_error_is_a_nas_error() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) >= 9
    assert all(issubclass(cls, NasError) for cls in classes)
    assert issubclass(UnknownName, UsageError)
    assert not issubclass(InfeasibleBudget, UsageError)


@pytest.mark.parametrize(
    "error",
    [
        InfeasibleBudget("macs", 3e6, 4_000_000),
        UnknownName("space", "mobilnet", ["mobilenet"]),
        WriteError(Path("file"), "no space left"),
        errors.Diverged("the loss became nan"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: NasError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_class_is_in_the_tree_and_has_its_exit_status() -> None:
    for name, cls in vars(errors).items():
        if isinstance(cls, type) and issubclass(cls, NasError):
            assert name in str(errors.__doc__)
            error = cls.__new__(cls, "text")
            assert described(error) == ("text", WRONG_USE if issubclass(cls, UsageError) else FAILURE)


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    error = UnknownName("space", "mobilnet", {"mobilenet": 1, "cells": 2})
    assert str(error) == "unknown space 'mobilnet'. Did you mean 'mobilenet'? Known: cells, mobilenet"
    assert str(UnknownName("space", "x", ["mobilenet"])) == "unknown space 'x'. Known: mobilenet"
    assert str(UnknownName("space", "x", [])) == "unknown space 'x'."
    assert str(UnknownName("space", "x", map(str, range(10, 30)))).endswith(" 20, 21 and 8 more")


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
