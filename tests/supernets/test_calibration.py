from __future__ import annotations

import pytest
import torch

from nas.errors import UsageError
from nas.search_spaces import get
from nas.supernets import MobileNetSupernet, build, calibrate, calibration_batch
from nas.task import ImageClassification
from nas.testing.subnetworks import randomise
from tests.spaces import SPACES


@pytest.fixture
def supernet() -> MobileNetSupernet:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    randomise(supernet)
    return supernet


def test_one_batch_in_eval_equals_training_mode(supernet: MobileNetSupernet) -> None:
    arch = supernet.space.largest()
    x = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    statistics = calibrate(supernet, [arch], x)[0]
    with torch.no_grad():
        by_batch = supernet.train()(x, arch)
        stored = supernet.eval()(x, arch, statistics=statistics)
    torch.testing.assert_close(stored, by_batch, rtol=1e-3, atol=1e-3)


def test_first_layer_statistics_do_not_depend_on_the_batches(supernet: MobileNetSupernet) -> None:
    """Only the stem is exact: deeper layers see inputs that were normalised by their own batch."""
    arch = supernet.space.smallest()
    x = torch.randn(31, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    whole = calibrate(supernet, [arch], x, batch_size=31)[0]
    parts = calibrate(supernet, [arch], x, batch_size=8)[0]
    assert whole.images == parts.images == 31
    torch.testing.assert_close(whole.layer("stem"), parts.layer("stem"), rtol=1e-4, atol=1e-4)


def test_too_few_images(supernet: MobileNetSupernet) -> None:
    with pytest.raises(UsageError, match="at least 2"):
        calibrate(supernet, [supernet.space.largest()], torch.zeros(1, 3, 8, 8))


def test_too_small_batches(supernet: MobileNetSupernet) -> None:
    for size in (0, 1):
        with pytest.raises(UsageError, match="batch size"):
            calibrate(supernet, [supernet.space.largest()], torch.zeros(4, 3, 8, 8), batch_size=size)
    with pytest.raises(UsageError, match="3 images in batches of 2 leave one"):
        calibrate(supernet, [supernet.space.largest()], torch.zeros(3, 3, 8, 8), batch_size=2)


def test_batches_are_smaller_for_larger_networks(supernet: MobileNetSupernet) -> None:
    assert calibration_batch(supernet) == 500
    imagenet = get("mobilenet", task=ImageClassification(224, 3, 1000), preset="ofa")
    assert calibration_batch(build(imagenet, seed=0)) == 64
