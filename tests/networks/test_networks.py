from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.errors import UsageError
from nas.networks import build, network
from nas.search_spaces import FAMILIES, SearchSpace, get, resolve
from nas.task import ImageClassification, TextClassification
from nas.testing.spaces import grid

TEXTS = ("flexibert",)


def space_of(name: str) -> SearchSpace:
    task = TextClassification(8, 3, 5) if name in TEXTS else ImageClassification(8, 3, 5)
    return get(name, task=task, preset="tiny")


def batch(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if name in TEXTS:
        return torch.randint(0, 3, (4, 8), generator=generator)
    return torch.randn(4, 3, 8, 8, generator=generator)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_every_space_has_networks() -> None:
    assert {type(space_of(name)) for name in FAMILIES} == {resolve(known.space) for known in FAMILIES.values()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_seed_decides_the_weights_and_nothing_else_changes(name: str) -> None:
    space = space_of(name)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (network(space, space.largest(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert same(one, network(space, space.largest(), seed=1))
    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_what_the_space_says_and_works_in_both_modes(name: str) -> None:
    space = space_of(name)
    for arch in (space.smallest(), space.largest()):
        made = network(space, arch, seed=0)
        assert made.training
        assert sum(p.numel() for p in made.parameters()) == space.cost(arch).params
        logits = made(batch(name))
        assert logits.shape == (4, 5)
        logits.sum().backward()
        assert made.eval()(batch(name)).isfinite().all()


def test_running_statistics_move_in_training_mode() -> None:
    for name in ("mobilenet", "nasbench201"):
        space = space_of(name)
        made = network(space, space.largest(), seed=0)
        norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms
        assert all(not m.running_mean.any() and m.running_var.eq(1).all() for m in norms)
        made(batch(name))
        assert all(m.running_mean.any() for m in norms)


def test_unknown_spaces_are_refused() -> None:
    unknown = grid(2, 3)
    with pytest.raises(UsageError, match="unknown space 'made'"):
        network(unknown, unknown.smallest(), seed=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_built_for_weights_takes_those_of_any_network_of_the_architecture(name: str) -> None:
    space = space_of(name)
    before = torch.get_rng_state()
    for arch in (space.smallest(), space.largest()):
        made, trained = build(space, arch).eval(), network(space, arch, seed=0).eval()
        made.load_state_dict(trained.state_dict())
        torch.testing.assert_close(made(batch(name)), trained(batch(name)), rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)
