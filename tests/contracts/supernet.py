"""What every supernet promises; a new one is tested by giving its fixture."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from nas.errors import UsageError
from nas.relaxation import Mixture
from nas.search_spaces import Architecture
from nas.supernets import Regularisation, Statistics, Supernet, calibrate
from nas.supernets.steps import Context, State, by_batch, composed

PROPERTY = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
seeds = st.integers(0, 2**32 - 1)


def randomise(supernet: Supernet, seed: int = 7) -> None:
    """Give every parameter a value that a wrong slice would show; what does not decay stays as it is."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in supernet.named_parameters():
        if name in supernet.no_weight_decay:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 0.9 * parameter.data + (0.3 if parameter.ndim < 2 else 0.1) * noise


def count_macs(network: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds of convolutions and linear layers, counted while one image passes."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += output[0].numel() * module.in_features

    handles = [module.register_forward_hook(hook) for module in network.modules()]
    with torch.no_grad():
        network(x[:1])
    for handle in handles:
        handle.remove()
    return total


def maps(state: State) -> tuple[torch.Tensor, ...]:
    """The tensors of a state."""
    return (state,) if isinstance(state, torch.Tensor) else state


class SupernetContract:
    """Subclasses give the fixture `supernet`."""

    @pytest.fixture
    def images(self, supernet: Supernet) -> torch.Tensor:
        return supernet.space.task.example(24, generator=torch.Generator().manual_seed(1))

    def member(self, supernet: Supernet, seed: int) -> Architecture:
        space = supernet.space
        return space.architectures(space.sample_choices(np.random.default_rng(seed), 1))[0]

    @PROPERTY
    @given(seed=seeds)
    def test_extracted_equals_slice(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Law 1, outputs in eval mode."""
        arch = self.member(supernet, seed)
        statistics = calibrate(supernet, [arch], images, batch_size=8)[0]
        network = supernet.extract(arch, statistics)
        with torch.no_grad():
            expected = supernet.eval()(images, arch, statistics=statistics)
            torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)

    @PROPERTY
    @given(seed=seeds)
    def test_extracted_has_the_same_gradients(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Law 1, gradients in training mode: of the input, and of the classifier's bias."""
        arch = self.member(supernet, seed)
        network = supernet.extract(arch).train()
        supernet.train().zero_grad(set_to_none=True)
        ours, theirs = images.clone().requires_grad_(), images.clone().requires_grad_()
        supernet(ours, arch).square().sum().backward()
        network(theirs).square().sum().backward()
        assert ours.grad is not None
        assert float(ours.grad.abs().max()) > 0
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
        mine, its = dict(supernet.named_parameters()), dict(network.named_parameters())
        torch.testing.assert_close(mine["classifier.bias"].grad, its["classifier.bias"].grad, rtol=1e-4, atol=1e-5)

    @PROPERTY
    @given(seed=seeds)
    def test_no_gradient_outside_the_slices(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Law 3. What an architecture uses is what extraction copies: every weight carries its own number."""
        arch = self.member(supernet, seed)
        marked = copy.deepcopy(supernet)
        weights = {n: p for n, p in marked.named_parameters() if ".transforms." not in n}
        first = 1
        for parameter in weights.values():
            parameter.data = torch.arange(first, first + parameter.numel(), dtype=torch.float32).view_as(parameter)
            first += parameter.numel()
        assert first < 2**24, "float32 numbers weights exactly up to here"
        used = torch.cat([p.detach().flatten() for p in marked.extract(arch).parameters()])
        supernet.train().zero_grad(set_to_none=True)
        supernet(images, arch).square().sum().backward()
        reached = 0
        for name, parameter in supernet.named_parameters():
            if name in weights and parameter.grad is not None:
                inside = torch.isin(weights[name], used)
                assert not parameter.grad[~inside].any(), name
                reached += int((parameter.grad[inside] != 0).sum())
        assert reached > 0.5 * len(used)

    @PROPERTY
    @given(seed=seeds)
    def test_one_hot_mixture_is_its_architecture(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Law 4, outputs and gradients."""
        arch = self.member(supernet, seed)
        mixture = Mixture.one_hot(supernet.space, arch)
        supernet.train()
        sliced, mixed = images.clone().requires_grad_(), images.clone().requires_grad_()
        expected, found = supernet(sliced, arch), supernet(mixed, mixture)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        expected.square().sum().backward()
        found.square().sum().backward()
        torch.testing.assert_close(mixed.grad, sliced.grad, rtol=1e-3, atol=1e-4)

    def test_every_choice_of_a_mixture_gets_a_gradient(self, supernet: Supernet, images: torch.Tensor) -> None:
        genes = supernet.space.genes
        weights = {g.name: torch.full((len(g.choices),), 1 / len(g.choices), requires_grad=True) for g in genes}
        supernet.train()(images, Mixture(supernet.space, weights)).square().sum().backward()
        for name, weight in weights.items():
            assert weight.grad is not None, name
            assert weight.grad.ne(0).all(), name

    def test_wrong_mixtures(self, supernet: Supernet, images: torch.Tensor) -> None:
        space = supernet.space
        good = Mixture.one_hot(space, space.largest())
        with pytest.raises(UsageError, match="training mode"):
            supernet.eval()(images, good)
        with pytest.raises(UsageError, match="'resolution'"):
            Mixture(space, {n: w for n, w in good.weights.items() if n != "resolution"})
        with pytest.raises(UsageError, match="choices, its weights are"):
            Mixture(space, {**good.weights, "resolution": torch.ones(7)})

    @PROPERTY
    @given(seed=seeds)
    def test_cost_is_the_extracted_networks(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Law 2."""
        arch = self.member(supernet, seed)
        network = supernet.extract(arch).eval()
        cost = supernet.space.cost(arch)
        assert cost.params == sum(p.numel() for p in network.parameters())
        assert cost.macs == count_macs(network, images)

    @PROPERTY
    @given(seed=seeds)
    def test_steps_compose_to_forward(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        arch = self.member(supernet, seed)
        statistics = calibrate(supernet, [arch], images)[0]
        x = images
        with torch.no_grad():
            for step in supernet.steps(arch):
                x = step(x, statistics)
            expected = supernet.eval()(images, arch, statistics=statistics)
        torch.testing.assert_close(x, expected, rtol=0, atol=0)

    def test_behind_equal_keys_the_narrower_is_the_beginning_of_the_wider(
        self, supernet: Supernet, images: torch.Tensor
    ) -> None:
        seen: dict[tuple[object, ...], State] = {}
        met = 0
        with torch.no_grad():
            for seed in range(12):
                state, prefix = images, ()
                for step in supernet.steps(self.member(supernet, seed)):
                    state, prefix = step.measure(state)[0], (*prefix, step.key)
                    met += prefix in seen
                    for ours, theirs in zip(maps(state), maps(seen.setdefault(prefix, state)), strict=True):
                        assert step.width or ours.shape == theirs.shape
                        shared = min(ours.shape[1], theirs.shape[1])
                        torch.testing.assert_close(ours[:, :shared], theirs[:, :shared], rtol=0, atol=1e-5)
        assert met > 0

    @PROPERTY
    @given(seed=seeds)
    def test_folded_statistics_change_nothing(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        arch = self.member(supernet, seed)
        statistics = calibrate(supernet, [arch], images)[0]
        with torch.no_grad():
            expected = supernet.eval()(images, arch, statistics=statistics)
            folded = composed(supernet.steps(arch), images, Context(by_batch, folded=statistics))
        torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-4)

    @PROPERTY
    @given(seed=seeds)
    def test_prepared_weights_measure_the_same(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        slow, fast = images, images
        with torch.no_grad():
            for step in supernet.steps(self.member(supernet, seed)):
                slow, expected = step.measure(slow)
                fast, found = step.measure(fast, {})
                assert found.images == expected.images
                torch.testing.assert_close(dict(found.layers), dict(expected.layers), rtol=1e-3, atol=1e-4)
                for ours, theirs in zip(maps(fast), maps(slow), strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)

    @PROPERTY
    @given(seed=seeds)
    def test_steps_know_the_size_of_what_they_hand_on(
        self, supernet: Supernet, images: torch.Tensor, seed: int
    ) -> None:
        state: State = images
        with torch.no_grad():
            for step in supernet.steps(self.member(supernet, seed)):
                state = step.measure(state)[0]
                assert step.size == maps(state)[-1][0].numel()
                assert not step.width or step.width == maps(state)[-1].shape[1]

    @PROPERTY
    @given(seed=seeds)
    def test_macs_of_the_steps_add_up(self, supernet: Supernet, seed: int) -> None:
        arch = self.member(supernet, seed)
        assert sum(step.macs for step in supernet.steps(arch)) == supernet.space.cost(arch).macs

    def test_calibration_changes_nothing(self, supernet: Supernet, images: torch.Tensor) -> None:
        before = copy.deepcopy(supernet.state_dict())
        mode = supernet.training
        first = calibrate(supernet, [supernet.space.largest()], images)[0]
        again = calibrate(supernet, [supernet.space.smallest(), supernet.space.largest()], images)[1]
        assert supernet.training == mode
        for name, value in supernet.state_dict().items():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        for name in first.layers:
            torch.testing.assert_close(first.layers[name], again.layers[name], rtol=0, atol=0)

    def test_eval_needs_statistics(self, supernet: Supernet, images: torch.Tensor) -> None:
        with pytest.raises(UsageError, match="calibrate"):
            supernet.eval()(images, supernet.space.largest())
        with pytest.raises(UsageError, match="calibrate this architecture"):
            supernet(images, supernet.space.largest(), statistics=Statistics({}, 1))

    def test_foreign_architecture(self, supernet: Supernet, images: torch.Tensor) -> None:
        with pytest.raises(UsageError, match="another space"):
            supernet.train()(images, Architecture("other", ("a",), (1,)))
        known = supernet.space.largest()
        unknown = Architecture(known.space, known.names, (99, *known.values[1:]))
        for use in (supernet.steps, supernet.extract, lambda arch: calibrate(supernet, [arch], images)):
            with pytest.raises(UsageError, match="=99, here it is one of"):
                use(unknown)

    def test_extraction_leaves_the_global_generator_alone(self, supernet: Supernet) -> None:
        before = torch.get_rng_state()
        supernet.extract(supernet.space.smallest())
        assert torch.equal(torch.get_rng_state(), before)

    def test_extracted_network_is_its_own(self, supernet: Supernet, images: torch.Tensor) -> None:
        network = supernet.extract(supernet.space.largest())
        before = copy.deepcopy(supernet.state_dict())
        for parameter in network.parameters():
            parameter.data.zero_()
        for name, value in supernet.state_dict().items():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
        assert not any(type(m).__module__.startswith("nas.supernets") for m in network.modules())

    @PROPERTY
    @given(seed=seeds)
    def test_no_step_writes_to_what_it_is_given(self, supernet: Supernet, images: torch.Tensor, seed: int) -> None:
        """Others may hold the same state, also without gradients, where steps save memory."""
        state: State = images.clone()
        with torch.no_grad():
            for step in supernet.steps(self.member(supernet, seed)):
                parts = (state,) if isinstance(state, torch.Tensor) else state
                before = [part.clone() for part in parts]
                after, statistics = step.measure(state, {})
                step(state, statistics)
                assert all(torch.equal(part, old) for part, old in zip(parts, before, strict=True))
                state = after

    def test_regularisation_follows_its_generator(self, supernet: Supernet, images: torch.Tensor) -> None:
        arch = supernet.space.largest()
        supernet.train()
        with torch.no_grad():
            plain = supernet(images, arch)
            one, two, three = (
                supernet(images, arch, regularisation=Regularisation(0.5, 0.5, torch.Generator().manual_seed(seed)))
                for seed in (1, 1, 2)
            )
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        assert not torch.equal(one, three)
        assert not torch.equal(one, plain)
        with pytest.raises(UsageError, match="is for training"):
            supernet.eval()(images, arch, regularisation=Regularisation(0.5, 0.5, torch.Generator()))

    def test_mixtures_are_regularised_too(self, supernet: Supernet, images: torch.Tensor) -> None:
        mixture = Mixture.one_hot(supernet.space, supernet.space.largest())
        supernet.train()
        with torch.no_grad():
            plain = supernet(images, mixture)
            noisy = supernet(images, mixture, regularisation=Regularisation(0.0, 0.9, torch.Generator().manual_seed(0)))
        assert not torch.equal(plain, noisy)
