from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.cluster import RayEvaluator
from tests.cluster import fakes
from tests.spaces import SPACES

pytest.importorskip("ray", reason="evaluation on workers needs Ray")


def test_a_lost_machine_costs_workers_but_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    space = SPACES["learned"]
    archs = list(dict.fromkeys(space.architectures(space.sample_choices(np.random.default_rng(0), 100))))
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        second = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        words = {"cost_s": 0.04}
        with RayEvaluator(
            fakes.build_fake, {"folder": str(tmp_path), "words": words}, workers=2, address="auto"
        ) as pool:
            while pool.alive < 2:
                pool.evaluate(archs[:8])
            pool.submit(archs[:40])
            pool.submit(archs[40:80])
            cluster.remove_node(second, allow_graceful=False)
            found = dict(pool.collect() + pool.collect())
            assert pool.alive == 1
            rest = pool.evaluate(archs[80:])
        assert [found[arch] for arch in archs[:80]] == [fakes.metrics_of(arch) for arch in archs[:80]]
        assert rest == [fakes.metrics_of(arch) for arch in archs[80:]]
        assert len(ray.nodes()) == 2  # the cluster is not the pool's to shut down
    finally:
        ray.shutdown()
        cluster.shutdown()
