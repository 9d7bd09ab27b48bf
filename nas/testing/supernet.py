"""What every supernet promises: the laws that tie it to the networks it contains."""

from __future__ import annotations

import copy
import json

import numpy as np
import torch
from torch import Tensor, nn

from nas.errors import UsageError
from nas.networks import build
from nas.relaxation import Mixture
from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet, calibrate, rebuild
from nas.testing import supernet_steps
from nas.testing.macs import count_macs
from nas.testing.promises import Promise, refused, require_all
from nas.testing.subnetworks import inputs_of, member, randomise


def check_supernet(supernet: Supernet) -> None:
    """Check that a supernet keeps its contract.

    Its family must be registered, here or by an entry point. The supernet itself is left as it is: a copy is checked,
    with weights that a wrong slice would show.

    Args:
        supernet: The shared weights, on the CPU.

    Raises:
        ContractError: Names the first promise that is broken.
    """
    twin = copy.deepcopy(supernet)
    randomise(twin)
    require_all(f"the supernet of space {supernet.space.name!r}", twin, PROMISES)


def extracted_equals_slice(supernet: Supernet, seed: int) -> None:
    """Law 1: an extracted network computes what the supernet computes."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    statistics = calibrate(supernet, [arch], x, batch_size=8)[0]
    network = supernet.extract(arch, statistics).eval()
    with torch.no_grad():
        expected = supernet.eval()(x, arch, statistics=statistics)
        torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-5)


def extracted_has_the_same_gradients(supernet: Supernet, seed: int) -> None:
    """Law 1: an extracted network has the supernet's gradients."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    network = supernet.extract(arch).train()
    supernet.train().zero_grad(set_to_none=True)
    ours, theirs = (x.clone().requires_grad_(x.is_floating_point()) for _ in range(2))
    supernet(ours, arch).square().sum().backward()
    network(theirs).square().sum().backward()
    if x.is_floating_point():
        assert ours.grad is not None
        assert float(ours.grad.abs().max()) > 0
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    mine, its = dict(supernet.named_parameters()), dict(network.named_parameters())
    shared = [name for name in its if name in mine and mine[name].shape == its[name].shape]
    assert shared, "no parameter has its name and shape in both, so that gradients can be compared"
    for name in shared:
        torch.testing.assert_close(mine[name].grad, its[name].grad, rtol=1e-4, atol=1e-5)


def costs_are_the_extracted_networks(supernet: Supernet, seed: int) -> None:
    """Law 2: an architecture costs what its network has and does."""
    arch = member(supernet, seed)
    network, cost = supernet.extract(arch).eval(), supernet.space.cost(arch)
    assert cost.params == sum(p.numel() for p in network.parameters()), arch
    assert cost.macs == count_macs(network, inputs_of(supernet)[:1]), arch


def no_gradient_outside_the_slices(supernet: Supernet, seed: int) -> None:
    """Law 3: an architecture's gradient is zero outside the weights that it uses."""
    # What it uses is what extraction copies: every weight carries its own number.
    arch = member(supernet, seed)
    marked = copy.deepcopy(supernet).double()
    weights = {n: p for n, p in marked.named_parameters() if n not in supernet.no_weight_decay}
    first = 1
    for parameter in weights.values():
        parameter.data = torch.arange(first, first + parameter.numel(), dtype=torch.float64).view_as(parameter)
        first += parameter.numel()
    used = torch.cat([p.detach().flatten() for p in marked.extract(arch).parameters()])
    supernet.train().zero_grad(set_to_none=True)
    supernet(inputs_of(supernet), arch).square().sum().backward()
    reached = 0
    for name, parameter in supernet.named_parameters():
        if name in weights and parameter.grad is not None:
            inside = torch.isin(weights[name], used)
            assert not parameter.grad[~inside].any(), name
            reached += int((parameter.grad[inside] != 0).sum())
    assert reached > 0.5 * len(used), "most of the weights that are copied have no gradient"


def a_one_hot_mixture_is_its_architecture(supernet: Supernet, seed: int) -> None:
    """Law 4: a one-hot mixture is its architecture, in outputs and gradients."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    mixture = Mixture.one_hot(supernet.space, arch)
    supernet.train()
    sliced, mixed = (x.clone().requires_grad_(x.is_floating_point()) for _ in range(2))
    expected, got = supernet(sliced, arch), supernet(mixed, mixture)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    if x.is_floating_point():
        expected.square().sum().backward()
        got.square().sum().backward()
        torch.testing.assert_close(mixed.grad, sliced.grad, rtol=1e-3, atol=1e-4)


def every_choice_of_a_mixture_gets_a_gradient(supernet: Supernet, seed: int) -> None:
    """Every choice of a mixture gets a gradient."""
    genes = supernet.space.genes
    weights = {g.name: torch.full((len(g.choices),), 1 / len(g.choices), requires_grad=True) for g in genes}
    supernet.train()(inputs_of(supernet), Mixture(supernet.space, weights)).square().sum().backward()
    for name, weight in weights.items():
        assert weight.grad is not None, name
        assert weight.grad.ne(0).all(), name


def wrong_mixtures_are_refused(supernet: Supernet, seed: int) -> None:
    """Mixtures are for training mode, and weigh every choice of every gene."""
    space = supernet.space
    good, name = Mixture.one_hot(space, space.largest()), space.names[0]
    with refused(UsageError, "training mode"):
        supernet.eval()(inputs_of(supernet), good)
    with refused(UsageError, repr(name)):
        Mixture(space, {n: w for n, w in good.weights.items() if n != name})
    with refused(UsageError, "choices, its weights are"):
        Mixture(space, {**good.weights, name: torch.ones(len(space.genes[0].choices) + 1)})


def calibration_changes_nothing(supernet: Supernet, seed: int) -> None:
    """Calibration changes nothing and does not depend on who else is calibrated."""
    before, mode, x = copy.deepcopy(supernet.state_dict()), supernet.training, inputs_of(supernet)
    first = calibrate(supernet, [supernet.space.largest()], x)[0]
    again = calibrate(supernet, [supernet.space.smallest(), supernet.space.largest()], x)[1]
    assert supernet.training == mode
    for name, value in supernet.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    for name in first.layers:
        torch.testing.assert_close(first.layers[name], again.layers[name], rtol=0, atol=0)


def eval_mode_needs_statistics(supernet: Supernet, seed: int) -> None:
    """In eval mode batch norms need statistics, and a network without batch norms needs none."""
    x, largest = inputs_of(supernet), supernet.space.largest()
    supernet.eval()
    if not supernet.has_batch_norms:
        assert not calibrate(supernet, [largest], x)[0].layers
        supernet(x, largest)
        return
    with refused(UsageError, "calibrate"):
        supernet(x, largest)
    with refused(UsageError, "calibrate this architecture"):
        supernet(x, largest, statistics=Statistics({}, 1))


def foreign_architectures_are_refused(supernet: Supernet, seed: int) -> None:
    """Foreign architectures are refused by name."""
    x, known = inputs_of(supernet), supernet.space.largest()
    with refused(UsageError, "another space"):
        supernet.train()(x, Architecture("other", ("a",), (1,)))
    unknown = Architecture(known.space, known.names, ("odd", *known.values[1:]))
    for use in (supernet.steps, supernet.extract, lambda arch: calibrate(supernet, [arch], x)):
        with refused(UsageError, "='odd', here it is one of"):
            use(unknown)


def extraction_leaves_the_generator_alone(supernet: Supernet, seed: int) -> None:
    """Extraction leaves torch's generator alone."""
    before = torch.get_rng_state()
    supernet.extract(supernet.space.smallest())
    assert torch.equal(torch.get_rng_state(), before)


def an_extracted_network_is_its_own(supernet: Supernet, seed: int) -> None:
    """An extracted network has its own weights and no elastic code."""
    network = supernet.extract(supernet.space.largest())
    before = copy.deepcopy(supernet.state_dict())
    for parameter in network.parameters():
        parameter.data.zero_()
    for name, value in supernet.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    elastic = {type(module) for module in supernet.modules()} & {type(module) for module in network.modules()}
    assert all(kind.__module__.startswith("torch.") for kind in elastic), elastic


def a_description_rebuilds_it(supernet: Supernet, seed: int) -> None:
    """Its description rebuilds it: storage, workers and exports need no more than that and weights."""
    twin = rebuild(json.loads(json.dumps(supernet.describe())))
    twin.load_state_dict(supernet.state_dict())
    x, largest = inputs_of(supernet), supernet.space.largest()
    with torch.no_grad():
        torch.testing.assert_close(twin.train()(x, largest), supernet.train()(x, largest), rtol=0, atol=0)


def the_registered_network_takes_extracted_weights(supernet: Supernet, seed: int) -> None:
    """The family's plain network takes the weights of an extracted one and computes the same."""
    arch, x = member(supernet, seed), inputs_of(supernet)
    extracted = supernet.extract(arch, calibrate(supernet, [arch], x)[0]).eval()
    fresh: nn.Module = build(supernet.space, arch).eval()
    fresh.load_state_dict(extracted.state_dict())
    with torch.no_grad():
        outputs: Tensor = fresh(x)
        torch.testing.assert_close(outputs, extracted(x), rtol=0, atol=0)
    assert outputs.shape == (len(x), *supernet.space.task.output_shape)
    assert np.isfinite(outputs.numpy()).all()


PROMISES: tuple[Promise[Supernet], ...] = (
    Promise(extracted_equals_slice, draws=8),
    Promise(extracted_has_the_same_gradients, draws=8),
    Promise(costs_are_the_extracted_networks, draws=8),
    Promise(no_gradient_outside_the_slices, draws=8),
    Promise(a_one_hot_mixture_is_its_architecture, draws=8),
    Promise(every_choice_of_a_mixture_gets_a_gradient),
    Promise(wrong_mixtures_are_refused),
    Promise(calibration_changes_nothing),
    Promise(eval_mode_needs_statistics),
    Promise(foreign_architectures_are_refused),
    Promise(extraction_leaves_the_generator_alone),
    Promise(an_extracted_network_is_its_own),
    Promise(a_description_rebuilds_it),
    Promise(the_registered_network_takes_extracted_weights, draws=4),
    *supernet_steps.PROMISES,
)
