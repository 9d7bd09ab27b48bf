"""Options that have no place beside others."""

from __future__ import annotations

from nas.errors import UsageError


def check_alone(**given: object) -> None:
    """Refuse options that say how to train, beside --supernet.

    Raises:
        UsageError: Names the first.
    """
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no place beside --supernet, which brings its own")


def check_untrained(**given: object) -> None:
    """Refuse options that say how to train or where, where nothing is trained.

    Raises:
        UsageError: Names the first.
    """
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} has no place where proxies or a table answer; leave it out")
