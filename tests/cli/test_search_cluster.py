from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from nas import ledger
from tests.cli.calling import nas
from tests.searching import plain


def test_a_search_on_two_nodes_loses_one_half_way(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="clusters are Ray's")
    from ray.cluster_utils import Cluster

    out = tmp_path / "run"
    words = ("search", "--supernet", finished, "--trials", 80, "--batch", 8, "--device", "cpu", "--json")
    alone = nas(*words, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.err
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second, over, lost = cluster.add_node(num_cpus=1), threading.Event(), list[int]()
        loss = threading.Thread(target=lose, args=(cluster, second, out / ledger.JOURNAL, over, lost))
        loss.start()
        outcome = nas(*words, "--workers", 2, "--ray", cluster.address, "--out", out)
        over.set()
        loss.join()
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert outcome.code == 0, outcome.err
    assert len(lost) == 1
    assert 32 <= lost[0] < 80
    assert plain(ledger.read(out).trials) == plain(ledger.read(tmp_path / "alone").trials)
    assert outcome.document["front"] == alone.document["front"]


def lose(cluster: Any, node: Any, journal: Path, over: threading.Event, lost: list[int]) -> None:
    """Remove a node once the journal has 32 trials, and note how many it had, unless the search is over by then."""
    while not journal.exists() or (count := journal.read_text().count('"digest"')) < 32:
        if over.wait(0.02):
            return
    lost.append(count)
    cluster.remove_node(node, allow_graceful=False)
