from __future__ import annotations

import statistics

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.evaluation import PARTIAL
from nas.evaluation.population.scores import Scores, score
from nas.task import ImageClassification
from tests.images import stripes

TASK = ImageClassification(8, 3, 5)


@pytest.fixture
def outputs() -> Tensor:
    """Of three members for 40 examples."""
    return torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(40) % 5


def error(values: Tensor) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values.tolist()) / len(values) ** 0.5


def test_metrics_are_means_over_examples_with_their_standard_errors(outputs: Tensor, labels: Tensor) -> None:
    scores = Scores(3, TASK, 40)
    for start in range(0, 40, 16):
        for member in range(3):
            scores.add(member, start, outputs[member, start : start + 16], labels[start : start + 16])
    for logits, metrics in zip(outputs, scores.metrics(), strict=True):
        right = (logits.argmax(1) == labels).float()
        loss = functional.cross_entropy(logits, labels, reduction="none")
        assert metrics == {
            "accuracy": float(right.sum()) / 40,
            "loss": pytest.approx(float(loss.double().mean())),
            "accuracy_se": pytest.approx(error(right)),
            "loss_se": pytest.approx(error(loss), rel=1e-5),
        }


def test_a_member_that_was_stopped_is_judged_on_what_it_saw(outputs: Tensor, labels: Tensor) -> None:
    scores, first = Scores(2, TASK, 40), Scores(1, TASK, 16)
    scores.add(0, 0, outputs[0, :16], labels[:16])
    scores.add(1, 0, outputs[1], labels)
    first.add(0, 0, outputs[0, :16], labels[:16])
    stopped, whole = scores.metrics()
    assert stopped == first.metrics()[0] | {PARTIAL: 16.0}
    assert PARTIAL not in whole


def test_one_network_scores_like_a_population_of_one() -> None:
    data = stripes(classes=5)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    inputs, targets = data.batch("test", slice(None))
    scores = Scores(1, data.task, data.size("test"))
    with torch.no_grad():
        scores.add(0, 0, network(inputs), targets)
    (expected,) = scores.metrics()
    for batch_size in (7, 500):
        found = score(network, data, "test", batch_size=batch_size)
        assert found["accuracy"] == expected["accuracy"]
        assert found == pytest.approx(expected, rel=1e-5)
