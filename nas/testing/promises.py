"""A contract as a list of promises, which run with and without pytest."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from nas.errors import ContractError, NasError, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Promise(Generic[T]):
    """One sentence of a contract.

    Args:
        holds: Called with what is checked and a seed; fails where the promise is broken. Its docstring is the promise.
        draws: How many seeds to try: 0, 1, ...
    """

    holds: Callable[[T, int], None]
    draws: int = 1

    @property
    def name(self) -> str:
        """For test reports."""
        return self.holds.__name__

    @property
    def text(self) -> str:
        """The sentence, without its full stop."""
        return (self.holds.__doc__ or self.name).strip().splitlines()[0].rstrip(".")

    def check(self, subject: T) -> None:
        """Try every seed; an error is the promise's own."""
        for seed in range(self.draws):
            self.holds(subject, seed)


def require_all(what: str, subject: T, promises: Sequence[Promise[T]]) -> None:
    """Check every promise.

    Args:
        what: The subject, for people.
        subject: What is checked.
        promises: Its contract.

    Raises:
        ContractError: Names the first promise that is broken.
        UsageError: Python runs without assertions.
    """
    if not __debug__:
        raise UsageError("python -O leaves out what the checks are made of; run them without -O")
    for promise in promises:
        try:
            promise.check(subject)
        except Exception as error:  # whatever it raises, it should not have
            raise ContractError(f"{what} breaks a promise: {promise.text} ({_detail(error)})") from error


def _detail(error: Exception) -> str:
    """What went wrong, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
    text = " ".join(str(error).split()) or str(last.line)
    return f"{where}: {'' if isinstance(error, AssertionError) else type(error).__name__ + ': '}{text}"[:300]


@contextmanager
def refused(kind: type[NasError], text: str = "") -> Iterator[list[NasError]]:
    """Expect an error of this kind with this text in it; the list has it afterwards."""
    errors: list[NasError] = []
    try:
        yield errors
    except kind as error:
        errors.append(error)
    assert errors, f"nothing was refused; a {kind.__name__} was due"
    assert text in str(errors[0]), f"the error does not say {text!r}: {errors[0]}"
