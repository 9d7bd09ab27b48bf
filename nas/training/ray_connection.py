"""Ray for as long as somebody needs it, quietly: nothing of it on standard output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nas.errors import UsageError


@contextmanager
def connected(address: str | None, *, cpus: int, purpose: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; what was connected or started here ends with the block.

    Args:
        address: The cluster, "auto" for the one of this machine; None takes the one that this process is connected
            to, or that RAY_ADDRESS names, or starts one here.
        cpus: What a cluster that is started here offers at least.
        purpose: What Ray is needed for, to begin a message with.

    Raises:
        UsageError: Ray is missing, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise UsageError(f"{purpose} needs Ray, which is not installed: pip install 'ray[default,train]'") from None
    ours = not ray.is_initialized()
    if ours:
        _start(ray, address or os.environ.get("RAY_ADDRESS"), max(cpus, os.cpu_count() or 1))
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _start(ray: Any, address: str | None, cpus: int) -> None:
    try:
        if address:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init("local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"no Ray cluster at {address}: {reason}; start one, or leave out its address") from None
