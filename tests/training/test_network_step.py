from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from nas.errors import UnknownName
from nas.task import Task, TextClassification
from nas.training import ALONE, NetworkStep, NotFinite
from nas.training.network_step import seeded
from nas.training.schedules import cosine
from tests.training.ranks import SPACE, branches_batches


class Dropping(nn.Module):
    """A linear classifier behind torch's own dropout, which draws from torch's own generator."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 64, 5)
        for i, parameter in enumerate(self.parameters()):
            nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(i))
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.drop(x.flatten(1)))
        return logits


def step_of(network: nn.Module, optimiser: str = "sgd", task: Task = SPACE.task) -> NetworkStep:
    return NetworkStep(
        network, task, branches_batches(ALONE), schedule=cosine, optimiser_name=optimiser, weight_decay=0.01
    )


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_state_goes_on_to_the_same_bits_whatever_else_draws(optimiser: str) -> None:
    network, other = Dropping(), Dropping()
    step, resumed = step_of(network, optimiser), step_of(other, optimiser)
    results = [step.step(number) for number in range(3)]
    resumed.load_state(copy.deepcopy(step.state))
    torch.rand(7)
    before = torch.get_rng_state()
    assert step.step(3) == resumed.step(3)
    assert torch.equal(torch.get_rng_state(), before)  # the caller's draws stay as they are
    assert torch.equal(network.linear.weight, other.linear.weight)
    assert (results[0].phase, results[0].epoch, results[0].metric.name) == ("alone", 1, "accuracy")
    assert step.step(4).epoch == 2


def test_it_learns() -> None:
    step = step_of(Dropping())
    results = [step.step(number) for number in range(20)]
    assert results[-1].loss < 0.6 * results[0].loss
    assert results[-1].value > 0.6


def test_what_is_not_finite_leaves_the_weights() -> None:
    network = Dropping()
    network.linear.bias.data[0] = math.nan
    before = network.linear.weight.detach().clone()
    with pytest.raises(NotFinite) as caught:
        step_of(network).step(0)
    assert caught.value.hint == "try a learning rate below 0.1"
    assert torch.equal(network.linear.weight, before)


def test_the_identity_names_what_decides_the_result() -> None:
    identity = step_of(Dropping(), "adamw").identity
    assert (identity["optimiser"], identity["weight_decay"], identity["seed"]) == ("adamw", 0.01, 3)
    assert identity["data"] == branches_batches(ALONE).digest
    with pytest.raises(UnknownName, match="sgd"):
        step_of(Dropping(), "sgdd")


def test_the_loss_is_the_tasks() -> None:
    """A task of texts on made-up inputs: nothing here knows images."""
    network = Dropping()
    step = step_of(network, task=TextClassification(192, 2, 5))
    with torch.no_grad(), seeded("cpu", 0):
        x, y = branches_batches(ALONE).batch(0)
        expected = nn.functional.cross_entropy(network.eval()(x), y, label_smoothing=0.1)
    network.drop.p = 0.0
    network.train()
    assert step.step(0).loss == pytest.approx(float(expected))
