from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.errors import UsageError
from nas.evaluation import SupernetEvaluator
from nas.supernets import MobileNetSupernet, calibrate, train
from nas.supernets.plain import MobileNet
from tests.images import stripes
from tests.spaces import SPACES


@pytest.fixture(scope="module")
def trained() -> MobileNetSupernet:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    train(supernet, stripes(160), rule="single_path", epochs=4, batch_size=32)
    return supernet


def test_a_population_scores_like_its_members_alone(trained: MobileNetSupernet) -> None:
    """Law 5, and nothing shared is changed."""
    data = stripes()
    space = trained.space
    archs = space.architectures(space.sample_choices(np.random.default_rng(0), 6))
    before = copy.deepcopy(trained.state_dict())
    together = SupernetEvaluator(trained, data).evaluate([*archs, archs[0]])
    alone = [SupernetEvaluator(trained, data).evaluate([arch])[0] for arch in archs]
    assert together == [*alone, alone[0]]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_metrics_are_those_of_forward(trained: MobileNetSupernet) -> None:
    data = stripes()
    arch = trained.space.largest()
    normalise = data.preprocessing.normalise
    statistics = calibrate(trained, [arch], normalise(data.calibration.images))[0]
    with torch.no_grad():
        logits = trained.eval()(normalise(data.validation.images), arch, statistics=statistics)
    found = SupernetEvaluator(trained, data, batch_size=7).evaluate([arch])[0]
    expected = float((logits.argmax(1) == data.validation.labels).float().mean())
    assert found["accuracy"] == pytest.approx(expected)
    loss = float(torch.nn.functional.cross_entropy(logits, data.validation.labels))
    assert found["loss"] == pytest.approx(loss, rel=1e-4)


def test_no_pass_is_larger_than_the_batch_size(trained: MobileNetSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()

    def forward(network: MobileNet, x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return torch.zeros(len(x), 5)

    monkeypatch.setattr(MobileNet, "forward", forward)
    SupernetEvaluator(trained, stripes(), batch_size=7).evaluate([trained.space.largest()])
    assert sum(sizes) == 80
    assert max(sizes) == 7


def test_the_test_split_has_its_own_names_and_images(trained: MobileNetSupernet) -> None:
    data = stripes()
    wrong = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 5))
    found = SupernetEvaluator(trained, wrong, split="test").evaluate([trained.space.largest()])[0]
    assert set(found) == {"test_accuracy", "test_loss"}
    right = SupernetEvaluator(trained, data, split="test").evaluate([trained.space.largest()])[0]
    assert right["test_accuracy"] > found["test_accuracy"]


def test_wrong_use(trained: MobileNetSupernet) -> None:
    with pytest.raises(UsageError, match="num_classes"):
        SupernetEvaluator(trained, stripes(classes=4))
    with pytest.raises(UsageError, match="'train'"):
        SupernetEvaluator(trained, stripes(), split="train")  # type: ignore[arg-type]
