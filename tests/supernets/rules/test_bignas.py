from __future__ import annotations

import copy

import numpy as np
import torch

from nas.supernets import MobileNetSupernet, Regularisation
from nas.supernets.rules import bignas
from nas.supernets.steps import Context, by_batch, composed
from nas.supernets.training import forward_of
from nas.training import Batches, RuleStep, Settings, SubNetwork
from nas.training.batches import seed_of
from tests.images import stripes
from tests.spaces import SPACES


def test_step_gradient_is_the_manual_sum() -> None:
    """Largest from labels with noise, the others from its detached probabilities without; gradients add up."""
    supernet = MobileNetSupernet(SPACES["crop"], seed=0).train()
    manual = copy.deepcopy(supernet)
    data = stripes()
    rule = bignas.RULE
    batches = Batches(data, Settings(1, 32, 0.1, seed=5))
    step = RuleStep(supernet, forward_of(supernet), supernet.space, batches, rule)
    phase = rule.phases(supernet.space)[0]
    members = phase.sampler(supernet.space, np.random.default_rng(1))
    x, labels = data.batch("train", slice(0, 32))
    step.backward(phase, members, x, labels, 3)

    generator = torch.Generator().manual_seed(seed_of(5, 3, 3, 0))
    logits = manual(x, members[0].arch, regularisation=Regularisation(0.2, 0.2, generator))
    target = torch.softmax(logits, 1).detach()
    total = supernet.space.task.loss(logits, labels, smoothing=0.1)
    for member in members[1:]:
        total = total - (target * torch.log_softmax(manual(x, member.arch), 1)).sum(1).mean()
    total.backward()
    compared = 0
    for ours, theirs in zip(supernet.parameters(), manual.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
            compared += bool(theirs.grad.any())
    assert compared > 10


def test_targets_carry_no_gradient() -> None:
    supernet = MobileNetSupernet(SPACES["crop"], seed=0).train()
    space, x = supernet.space, torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target = bignas.InPlaceDistillation()
    labels = torch.zeros(16, dtype=torch.int64)
    largest = supernet(x, space.largest()).requires_grad_()
    _, soft = target(space.task, largest, labels, SubNetwork(space.largest(), "largest"), None)
    assert soft is not None
    assert not soft.requires_grad
    smallest = SubNetwork(space.smallest(), "smallest")
    loss, passed_on = target(space.task, supernet(x, smallest.arch), labels, smallest, soft)
    assert passed_on is soft
    (gradient,) = torch.autograd.grad(loss, largest, allow_unused=True)
    assert gradient is None


def test_zero_gamma_makes_residual_blocks_the_identity() -> None:
    supernet = MobileNetSupernet(SPACES["crop"], seed=0).train()
    bignas.zero_init_residuals(supernet)
    last = supernet.space.plan(supernet.space.largest()).blocks[-1]
    assert last.shortcut == "identity"
    steps = supernet.steps(supernet.space.largest())
    x = torch.randn(4, last.in_channels, last.in_size, last.in_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(composed(steps[-4:-1], x, Context(by_batch)), x, rtol=0, atol=0)
    # Without shortcuts a block of zeros would let nothing through.
    plain = MobileNetSupernet(SPACES["learned"], seed=0)
    bignas.zero_init_residuals(plain)
    assert plain.block(1, 0).project_norm.weight.all()
    assert not plain.block(1, 1).project_norm.weight.any()
