from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import RULES
from nas.task import Task
from nas.training import ALONE, NotFinite, PassOptions, Phase, RuleStep, SubNetwork, TrainingRule
from nas.training.rule_step import phase_starts
from tests.training.ranks import SPACE, Branches, branches_batches, branches_step


def members_with(*kernels: int) -> list[SubNetwork]:
    """The largest member, with other kernels in the block that `Branches` looks at."""
    gene = SPACE.names.index("stage1.block0.kernel")
    rows = np.repeat(SPACE.indices([SPACE.largest()]), len(kernels), axis=0)
    rows[:, gene] = [SPACE.genes[gene].choices.index(kernel) for kernel in kernels]
    return [SubNetwork(arch, f"kernel {k}") for arch, k in zip(SPACE.architectures(rows), kernels, strict=True)]


class Chain:
    """A toy rule's target: the first learns from the data, each other from the one before it in the same pass."""

    def __init__(self) -> None:
        self.roles: list[str] = []

    def __call__(
        self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        self.roles.append(member.role)
        loss = task.loss(outputs, targets) if soft is None else task.distil(outputs, soft)
        return loss, task.soft(outputs)


def toy_phase(**plug_ins: Any) -> Phase:
    def sampler(space: SearchSpace, rng: np.random.Generator) -> list[SubNetwork]:
        return members_with(7, 3, 5)

    return Phase("toy", 1.0, 1.0, lambda done: 1.0, sampler, **{"target": Chain(), **plug_ins})


def toy_step(network: Branches, phase: Phase, **settings: Any) -> tuple[RuleStep, list[tuple[int, PassOptions]]]:
    """A rule of one phase, and how many architectures each forward pass had."""
    rule = TrainingRule("toy", lambda space: [phase], 0.1, 0.0, **settings)
    calls: list[tuple[int, PassOptions]] = []

    def forward(x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        calls.append((len(archs), options))
        return network(x, archs, options)

    return RuleStep(network, forward, SPACE, branches_batches(ALONE), rule), calls


def weights(network: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(network.state_dict())


def test_a_pass_may_give_the_outputs_of_several_sub_networks() -> None:
    """Two in the first pass, one in the second: one backward pass each, the gradients of three passes of one."""

    def first_two(members: list[SubNetwork]) -> list[list[SubNetwork]]:
        return [members[:2], members[2:]]

    def halves(members: list[SubNetwork]) -> list[float]:
        return [1.0, 0.5, 0.25]

    together, apart = Branches(), Branches()
    chain = Chain()
    phase = toy_phase(passes=first_two, gradients=halves, target=chain)
    step, calls = toy_step(together, phase)
    single, others = toy_step(apart, toy_phase(gradients=halves))
    results = step.step(0), single.step(0)
    assert [count for count, _ in calls] == [2, 1]
    assert [count for count, _ in others] == [1, 1, 1]
    assert chain.roles == ["kernel 7", "kernel 3", "kernel 5"]
    assert results[0].loss == pytest.approx(results[1].loss)
    assert results[0].value == results[1].value
    for (name, ours), theirs in zip(together.named_parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
        assert ours.grad is not None
        assert ours.grad.any()


def test_a_pass_is_regularised_where_one_of_its_roles_is() -> None:
    network = Branches()
    step, calls = toy_step(network, toy_phase(), dropout=0.3, regularised=frozenset({"kernel 3"}))
    step.step(0)
    assert [options.dropout for _, options in calls] == [0.0, 0.3, 0.0]
    assert len({options.seed for _, options in calls}) == 3
    pairs = toy_phase(passes=lambda members: [members[:1], members[1:]])
    step, calls = toy_step(network, pairs, dropout=0.3, regularised=frozenset({"kernel 5"}))
    step.step(0)
    assert [options.dropout for _, options in calls] == [0.0, 0.3]


def test_a_step_tells_its_loss_and_the_first_of_the_tasks_measures() -> None:
    network = Branches()
    step, _ = toy_step(network, toy_phase())
    x, y = branches_batches(ALONE).batch(5)
    outputs = network(x, [member.arch for member in members_with(7)], PassOptions(0.0, 0.0, 0))[0]
    for number in range(6):
        before = weights(network)
        result = step.step(number)
    network.load_state_dict(before)
    outputs = network(x, [member.arch for member in members_with(7)], PassOptions(0.0, 0.0, 0))[0]
    assert (result.epoch, result.phase, result.metric.name) == (2, "toy", "accuracy")
    assert result.value == pytest.approx(float((outputs.argmax(1) == y).float().mean()))


def test_what_is_not_finite_leaves_the_weights() -> None:
    network = Branches()

    def poisoned(x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        return [y * math.nan for y in network(x, archs, options)]

    step, before = branches_step(network, "single_path", ALONE, forward=poisoned), weights(network)
    with pytest.raises(NotFinite) as caught:
        step.step(0)
    assert (caught.value.phase, caught.value.hint) == ("single path", "try a learning rate below 0.1")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_frozen_parameters_stay() -> None:
    network = Branches()
    step, _ = toy_step(network, toy_phase(freeze=lambda name: name.startswith("conv")))
    before = weights(network)
    step.step(0)
    assert torch.equal(network.conv.weight, before["conv.weight"])
    assert not torch.equal(network.heads["7"].weight, before["heads.7.weight"])


def test_phases_begin_in_order_each_with_its_preparation() -> None:
    """Of three phases in four steps the second is skipped over: it is entered and left at once."""
    entered: list[str] = []
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5))
    makers: list[int] = []

    def make(network: nn.Module, inputs: Tensor) -> nn.Module:
        makers.append(len(inputs))
        return teacher

    class FromTeacher:
        def __call__(
            self, task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
        ) -> tuple[Tensor, Tensor | None]:
            assert soft is not None
            assert not soft.requires_grad
            return task.distil(outputs, soft), soft

    phases = [
        replace(toy_phase(), name="a", share=0.5, prepare=lambda _: entered.append("a")),
        replace(toy_phase(), name="b", share=0.01, prepare=lambda _: entered.append("b"), teacher=make),
        replace(toy_phase(), name="c", share=0.49, prepare=lambda _: entered.append("c"), target=FromTeacher()),
    ]
    rule = TrainingRule("toy", lambda space: phases, 0.1, 0.0, initialise=lambda _: entered.append("fresh"))
    network = Branches()
    step = RuleStep(network, network, SPACE, branches_batches(ALONE), rule)
    assert [step.step(i).phase for i in range(12)] == ["a"] * 10 + ["c"] * 2
    assert entered == ["fresh", "a", "b", "c"]
    assert makers == [32]
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    resumed = RuleStep(Branches(), network, SPACE, branches_batches(ALONE), rule)
    resumed.load_state(step.state)
    assert makers == [32, 2]  # its weights are in the state, so two inputs do
    assert entered == ["fresh", "a", "b", "c"]


@pytest.mark.parametrize("rule", ["bignas", "single_path"])
def test_state_goes_on_to_the_same_bits(rule: str) -> None:
    network, other = Branches(), Branches()
    step = branches_step(network, rule, ALONE)
    for number in range(3):
        step.step(number)
    resumed = branches_step(other, rule, ALONE)
    resumed.load_state(copy.deepcopy(step.state))
    assert step.step(3) == resumed.step(3)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in other.state_dict().items())
    assert step.identity == resumed.identity
    assert step.identity["data"] == branches_batches(ALONE).digest
    assert step.identity["rule"] == rule == RULES[rule].name


def test_phase_starts() -> None:
    assert phase_starts([1, 1, 2], 8) == [0, 2, 4]
    assert phase_starts([0.5, 0.01, 0.49], 4) == [0, 2, 2]
