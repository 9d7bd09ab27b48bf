from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
import torch

from nas.cluster.supernet_pool import build_supernet_evaluator, supernet_pool
from nas.errors import UsageError
from nas.evaluation import SupernetEvaluator
from nas.supernets import MobileNetSupernet
from nas.testing.subnetworks import randomise
from tests.images import stripes
from tests.spaces import SPACES


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="evaluation on workers needs Ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def supernet() -> MobileNetSupernet:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    randomise(supernet)
    return supernet


@pytest.mark.parametrize("split", ["validation", "test"])
def test_many_processes_measure_what_one_does(
    supernet: MobileNetSupernet, split: Literal["validation", "test"]
) -> None:
    data = stripes()
    archs = supernet.space.architectures(supernet.space.sample_choices(np.random.default_rng(0), 24))
    here = SupernetEvaluator(supernet, data, split=split)
    alone = here.evaluate(archs)
    with supernet_pool(supernet, data, workers=2, split=split, batch=5) as pool:
        together = pool.evaluate(archs)
        totals = pool.totals
    assert together == alone
    assert len({outcome["loss" if split == "validation" else "test_loss"] for outcome in alone}) > 12
    assert totals.macs_alone == pytest.approx(here.totals.macs_alone)
    assert 0 < totals.macs_shared <= here.totals.macs_shared


def test_the_evaluator_of_a_worker_has_the_weights_but_not_the_memory(supernet: MobileNetSupernet) -> None:
    data = stripes()
    weights = {name: value.numpy() for name, value in supernet.state_dict().items()}
    for value in weights.values():
        value.flags.writeable = False  # as in the object store
    described = supernet.describe()
    evaluator = build_supernet_evaluator(described, weights, data, "validation", "cpu", None, 1.0, "float32")
    arch = supernet.space.largest()
    assert evaluator.evaluate([arch]) == SupernetEvaluator(supernet, data).evaluate([arch])
    assert all(torch.equal(torch.tensor(weights[name]), value) for name, value in supernet.state_dict().items())


def test_data_that_do_not_fit_are_refused_before_anything_starts(supernet: MobileNetSupernet) -> None:
    with pytest.raises(UsageError, match="classes=5, but the data have 4"):
        supernet_pool(supernet, stripes(classes=4), workers=1)
