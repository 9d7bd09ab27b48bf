from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from nas.errors import UnknownName, UsageError
from nas.task import TASKS, ImageClassification, Task, TextClassification, from_json

IMAGES, TEXTS = ImageClassification(8, 3, 5), TextClassification(12, 50, 2)


@pytest.mark.parametrize("task", [IMAGES, TEXTS], ids=str)
def test_tasks_are_values_that_go_through_json(task: Task) -> None:
    again = from_json(task.to_json())
    assert again == task
    assert hash(again) == hash(task)
    assert task.objectives == ("accuracy", "min:macs")


@pytest.mark.parametrize("task", [IMAGES, TEXTS], ids=str)
def test_examples_have_the_inputs_shape_and_follow_the_generator(task: Task) -> None:
    one, again = (task.example(4, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert one.shape == (4, *task.input_shape)
    assert torch.equal(one, again)


def test_every_kind_has_one_name() -> None:
    assert {kind: task.kind for kind, task in TASKS.items()} == {kind: kind for kind in TASKS}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "a task is a JSON object"),
        ({"size": 8}, "a task is a JSON object"),
        ({"kind": "image_classification", "size": 8, "channels": 3}, "exactly size, channels, classes"),
        ({**IMAGES.to_json(), "classes": True}, "classes must be a positive integer, got True"),
        ({**IMAGES.to_json(), "classes": 1.5}, "classes must be a positive integer, got 1.5"),
        ({**IMAGES.to_json(), "classes": 0}, "classes must be a positive integer, got 0"),
    ],
)
def test_other_documents_are_refused(document: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        from_json(document)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'image_classification'"):
        from_json({"kind": "image_clasification"})


def test_what_differs_is_named() -> None:
    IMAGES.require(ImageClassification(8, 3, 5), what="the data")
    with pytest.raises(UsageError, match="made for channels=3, but the data have 1"):
        IMAGES.require(ImageClassification(8, 1, 4), what="the data")
    with pytest.raises(UsageError, match="8x8 images of 3 channels in 5 classes, but the data have texts of 12 tokens"):
        IMAGES.require(TEXTS, what="the data")


def test_other_numbers_where_a_task_has_them() -> None:
    assert IMAGES.with_fields({"size": 4, "length": 9, "classes": 7}) == ImageClassification(4, 3, 7)


def test_losses_and_soft_targets_are_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 5, generator=generator, requires_grad=True)
    targets = torch.randint(0, 5, (6,), generator=generator)
    by_hand = -torch.log_softmax(outputs, 1)[torch.arange(6), targets].mean()
    assert torch.allclose(IMAGES.loss(outputs, targets), by_hand)
    spread = -(0.1 / 5) * torch.log_softmax(outputs, 1).sum(1).mean() + 0.9 * by_hand
    assert torch.allclose(IMAGES.loss(outputs, targets, smoothing=0.1), spread)
    soft = IMAGES.soft(outputs)
    assert not soft.requires_grad
    assert torch.allclose(IMAGES.distil(outputs, soft), -(soft * torch.log_softmax(outputs, 1)).sum(1).mean())


def test_means_and_standard_errors_of_measures_are_the_metrics() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(40, 5, generator=generator), torch.randint(0, 5, (40,), generator=generator)
    each = IMAGES.measure(outputs, targets).double()
    metrics = IMAGES.summary(each.sum(0), each.square().sum(0), 40)
    right = (outputs.argmax(1) == targets).double()
    loss = functional.cross_entropy(outputs, targets, reduction="none").double()
    assert metrics["accuracy"] == right.mean().item()
    assert metrics["accuracy_se"] == pytest.approx(right.std().item() / math.sqrt(40))
    assert metrics["loss"] == pytest.approx(loss.mean().item())
    assert metrics["loss_se"] == pytest.approx(loss.std().item() / math.sqrt(40))
    assert IMAGES.summary([1.0, 0.5], [1.0, 0.25], 1)["accuracy_se"] == 0.0
    assert {metric.name for metric in IMAGES.metrics} == {name for name in metrics if not name.endswith("_se")}
