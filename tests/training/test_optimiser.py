from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.errors import UnknownName
from nas.supernets import MobileNetSupernet
from nas.training.optimiser import OPTIMISERS, optimiser, set_rate, update
from tests.spaces import SPACES


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_only_weights_of_convolutions_and_linear_layers_decay(name: str) -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    exempt = supernet.no_weight_decay
    built = optimiser(name, supernet, learning_rate=0.1, weight_decay=0.5, exempt=exempt)
    decayed, free = built.param_groups
    names = {id(p): n for n, p in supernet.named_parameters()}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert all(p.ndim >= 2 and names[id(p)] not in exempt for p in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)
    assert {names[id(p)] for p in free["params"] if p.ndim >= 2} == set(exempt)
    assert len(exempt) == 2 * 1 + 3 * 2  # in each of two blocks one kernel is smaller than the largest, in three two


def test_names_are_the_optimisers_and_unknown_ones_get_the_nearest() -> None:
    network = nn.Linear(2, 2)
    words = {"learning_rate": 0.1, "weight_decay": 0.0}
    assert type(optimiser("sgd", network, **words)) is torch.optim.SGD
    assert type(optimiser("adamw", network, **words)) is torch.optim.AdamW
    with pytest.raises(UnknownName, match="Did you mean 'adamw'"):
        optimiser("adam", network, **words)


def test_an_update_clips_the_gradient_and_uses_the_rate() -> None:
    network = nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    built = optimiser("sgd", network, learning_rate=9.0, weight_decay=0.0)
    set_rate(built, 0.1)
    network.weight.grad = torch.tensor([[30.0, 40.0]])
    assert update(built, network, 1.0)
    # A gradient of norm 50 is cut to 5; Nesterov's first step is 1.9 times the gradient.
    torch.testing.assert_close(before - network.weight.detach(), 0.19 * torch.tensor([[3.0, 4.0]]))


@pytest.mark.parametrize(("loss", "gradient"), [(math.nan, 1.0), (1.0, math.inf)])
def test_what_is_not_finite_changes_no_weight(loss: float, gradient: float) -> None:
    network = nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    network.weight.grad = torch.full((1, 2), gradient)
    assert not update(optimiser("adamw", network, learning_rate=0.1, weight_decay=0.1), network, loss)
    assert torch.equal(network.weight, before)
