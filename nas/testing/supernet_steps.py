"""What the steps of every supernet promise, on which shared evaluation rests."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.relaxation import Mixture
from nas.supernets import Regularisation, Supernet, calibrate
from nas.supernets.steps import Context, State, by_batch, composed
from nas.testing.promises import Promise, refused
from nas.testing.subnetworks import inputs_of, member


def parts(state: State) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    return (state,) if isinstance(state, Tensor) else state


@torch.no_grad()
def steps_compose_to_forward(supernet: Supernet, seed: int) -> None:
    """Steps compose to the forward pass."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    statistics = calibrate(supernet, [arch], x)[0]
    state: State = x
    for step in supernet.steps(arch):
        state = step(state, statistics)
    assert isinstance(state, Tensor)
    torch.testing.assert_close(state, supernet.eval()(x, arch, statistics=statistics), rtol=0, atol=0)


@torch.no_grad()
def equal_keys_mean_equal_outputs(supernet: Supernet, seed: int) -> None:
    """Behind equal keys outputs are equal, and where a step has a width the narrower one begins the wider."""
    seen: dict[tuple[object, ...], State] = {}
    met = 0
    for draw in range(12):
        state: State = inputs_of(supernet)
        prefix: tuple[object, ...] = ()
        for step in supernet.steps(member(supernet, draw)):
            state, prefix = step.measure(state)[0], (*prefix, step.key)
            met += prefix in seen
            for ours, theirs in zip(parts(state), parts(seen.setdefault(prefix, state)), strict=True):
                assert step.width or ours.shape == theirs.shape, step.key
                shared = min(ours.shape[1], theirs.shape[1])
                torch.testing.assert_close(ours[:, :shared], theirs[:, :shared], rtol=0, atol=1e-5)
    assert met > 0, "no two of twelve members share a step"


@torch.no_grad()
def folded_statistics_change_nothing(supernet: Supernet, seed: int) -> None:
    """Statistics folded into weights change nothing."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    statistics = calibrate(supernet, [arch], x)[0]
    expected = supernet.eval()(x, arch, statistics=statistics)
    folded = composed(supernet.steps(arch), x, Context(by_batch, folded=statistics))
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def prepared_weights_measure_the_same(supernet: Supernet, seed: int) -> None:
    """Prepared weights measure the same."""
    slow: State = inputs_of(supernet)
    fast = slow
    for step in supernet.steps(member(supernet, seed)):
        slow, expected = step.measure(slow)
        fast, got = step.measure(fast, {})
        assert got.images == expected.images
        torch.testing.assert_close(dict(got.layers), dict(expected.layers), rtol=1e-3, atol=1e-4)
        for ours, theirs in zip(parts(fast), parts(slow), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def steps_know_their_sizes(supernet: Supernet, seed: int) -> None:
    """Steps know the size of what they hand on."""
    state: State = inputs_of(supernet)
    for step in supernet.steps(member(supernet, seed)):
        state = step.measure(state)[0]
        assert step.size == parts(state)[-1][0].numel(), step.key
        assert not step.width or step.width == parts(state)[-1].shape[1], step.key


def macs_of_the_steps_add_up(supernet: Supernet, seed: int) -> None:
    """The multiply-adds of the steps add up to the architecture's."""
    arch = member(supernet, seed)
    assert sum(step.macs for step in supernet.steps(arch)) == supernet.space.cost(arch).macs, arch


@torch.no_grad()
def no_step_writes_to_what_it_is_given(supernet: Supernet, seed: int) -> None:
    """No step writes to the state that it is given: others may hold it."""
    state: State = inputs_of(supernet).clone()
    for step in supernet.steps(member(supernet, seed)):
        before = [part.clone() for part in parts(state)]
        after, statistics = step.measure(state, {})
        step(state, statistics)
        assert all(torch.equal(part, old) for part, old in zip(parts(state), before, strict=True)), step.key
        state = after


@torch.no_grad()
def noise_follows_its_generator(supernet: Supernet, seed: int) -> None:
    """Dropout and drop-connect draw from the given generator alone, in training mode only."""
    arch, x = supernet.space.largest(), inputs_of(supernet)
    supernet.train()
    plain = supernet(x, arch)
    one, two, three = (supernet(x, arch, regularisation=_noise(0.5, draw)) for draw in (1, 1, 2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert torch.equal(one, plain) or not torch.equal(one, three), "another generator, and the same noise"
    with refused(UsageError, "is for training"):
        supernet.eval()(x, arch, regularisation=_noise(0.5, 0))


@torch.no_grad()
def mixtures_have_noise_too(supernet: Supernet, seed: int) -> None:
    """Where an architecture has noise, its mixture has it."""
    arch, x = supernet.space.largest(), inputs_of(supernet)
    mixture = Mixture.one_hot(supernet.space, arch)
    supernet.train()
    noisy = not torch.equal(supernet(x, arch), supernet(x, arch, regularisation=_noise(0.9, 0)))
    assert noisy != torch.equal(supernet(x, mixture), supernet(x, mixture, regularisation=_noise(0.9, 0)))


def _noise(drop: float, seed: int) -> Regularisation:
    return Regularisation(drop, drop, torch.Generator().manual_seed(seed))


PROMISES: tuple[Promise[Supernet], ...] = (
    Promise(steps_compose_to_forward, draws=8),
    Promise(equal_keys_mean_equal_outputs),
    Promise(folded_statistics_change_nothing, draws=8),
    Promise(prepared_weights_measure_the_same, draws=8),
    Promise(steps_know_their_sizes, draws=8),
    Promise(macs_of_the_steps_add_up, draws=8),
    Promise(no_step_writes_to_what_it_is_given, draws=8),
    Promise(noise_follows_its_generator),
    Promise(mixtures_have_noise_too),
)
