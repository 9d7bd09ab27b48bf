from __future__ import annotations

import socket

import pytest

from nas.cluster.connection import check_reachable
from nas.errors import ClusterError


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "auto"):
            check_reachable(address)
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:70000"):
        with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address} .*; start one with 'ray start"):
            check_reachable(address)
