"""Ray for as long as somebody needs it, quietly: nothing of it on standard output."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nas.errors import ClusterError
from nas.extras import RAY, require
from nas.files import reason

ANSWER_S = 5.0  # for a cluster to accept a connection


@contextmanager
def connected(address: str | None, *, cpus: int, purpose: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; what was connected or started here ends with the block.

    Args:
        address: The cluster, "auto" for the one of this machine; None takes the one that this process is connected
            to, or that RAY_ADDRESS names, or starts one here.
        cpus: What a cluster that is started here offers at least.
        purpose: What Ray is needed for, to begin a message with.

    Raises:
        MissingPackage: Ray is not installed.
        ClusterError: No cluster answers, or none starts here.
    """
    require(RAY, purpose=purpose)
    import ray

    ours = not ray.is_initialized()
    if ours:
        _start(ray, address or os.environ.get("RAY_ADDRESS"), max(cpus, os.cpu_count() or 1))
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _start(ray: Any, address: str | None, cpus: int) -> None:
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            check_reachable(address)
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init("local", num_cpus=cpus, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"no Ray cluster at {address}: {reason(error)}; start one with 'ray start --head', or leave out --ray"
        raise ClusterError(where if address else f"Ray does not start here: {reason(error)}") from None
    if callable(terminated) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminated)  # Ray puts its own in the place of whatever there was


def check_reachable(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes.

    Raises:
        ClusterError: Nothing does; names the address.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():  # "auto", or what else Ray understands
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({error}); start one with 'ray start --head', or leave out --ray"
        ) from None
