"""One optimiser step of a training rule. It knows no rule by name: the phases say what happens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nas.objectives import metric_of
from nas.search_spaces import Architecture, SearchSpace
from nas.training.batches import Batches, seed_of
from nas.training.loop import NotFinite, StepResult
from nas.training.optimiser import autocast, optimiser, set_rate, update
from nas.training.parallel import ALONE, Group, average_gradients
from nas.training.rule import Phase, SubNetwork, TrainingRule, check_passes


@dataclass(frozen=True, slots=True)
class PassOptions:
    """What a forward pass needs besides inputs and architectures.

    Args:
        dropout, drop_connect: Chances.
        seed: That every draw comes from.
        group: The processes that share the batch; draws are made for all of it.
        synchronised: Whether all of them run these architectures now, so that batch norms can use the whole batch.
    """

    dropout: float
    drop_connect: float
    seed: int
    group: Group = ALONE
    synchronised: bool = True


class Forward(Protocol):
    """How sub-networks run in training mode."""

    def __call__(self, inputs: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        """Inputs [B, ...] to the outputs [B, ...] of each architecture of one pass."""


class RuleStep:
    """Trains one supernet by one rule; see `Trainable`.

    Sub-networks are drawn from (seed, step), their noise from (seed, step, pass), so that a resumed run repeats an
    undisturbed one.

    In a group of processes each takes an equal share of every batch, and gradients are averaged once a step, after
    all sub-networks. Order, augmentation, noise and architectures are those of one process, and so are the weights
    but for rounding, if `forward` synchronises batch norms too. Any number of processes may resume.

    Args:
        network: Where the parameters live.
        forward: How its sub-networks run.
        space: What the rule's sampler draws from; its task has the losses.
        batches: The examples, the run, and the processes that train together.
        rule: The rule.
        independent_sampling: Whether each process draws sub-networks of the rule's `sampled` roles on its own, for more
            of them a step; what is trained then depends on the number of processes, and a resumed run needs as many.
        no_weight_decay: Names of parameters that do not decay, besides norms and biases.
    """

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        space: SearchSpace,
        batches: Batches,
        rule: TrainingRule,
        *,
        independent_sampling: bool = False,
        no_weight_decay: Collection[str] = (),
    ) -> None:
        settings = batches.settings
        self._network = network.to(settings.device).train()
        self._forward, self._space, self._task = forward, space, space.task
        self._batches, self._rule, self._settings = batches, rule, settings
        self._group, self._independent = batches.group, independent_sampling and batches.group.size > 1
        self._optimiser = optimiser(
            rule.optimiser,
            network,
            learning_rate=settings.learning_rate,
            weight_decay=rule.weight_decay,
            exempt=no_weight_decay,
        )
        self._phases = rule.phases(space)
        self._starts = phase_starts([phase.share for phase in self._phases], self._batches.steps)
        self._entered = 0  # phases
        self._teacher: nn.Module | None = None
        self._metric = metric_of(self._task.measures[0], {metric.name: metric for metric in self._task.metrics})

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result, for checkpoints."""
        rule = self._rule
        return {
            "rule": rule.name,
            **self._settings.identity,
            "optimiser": rule.optimiser,
            "weight_decay": rule.weight_decay,
            "dropout": rule.dropout,
            "drop_connect": rule.drop_connect,
            "phases": [[phase.name, phase.share, phase.learning_rate] for phase in self._phases],
            "data": self._batches.digest,
            "independent_sampling": self._group.size if self._independent else None,
        }

    def step(self, number: int) -> StepResult:
        """See `Trainable`."""
        # More than one phase begins where training is too short for all of them.
        while self._entered < len(self._phases) and self._starts[self._entered] <= number:
            self._enter(self._phases[self._entered])
        phase, rate = self._phases[self._entered - 1], self._rate(number)
        set_rate(self._optimiser, rate)
        inputs, targets = self._batches.batch(number)
        self._optimiser.zero_grad(set_to_none=True)
        watched = self.backward(phase, self.members(phase, number), inputs, targets, number)
        loss, value = average_gradients(self._group, self._network.parameters(), watched).tolist()
        if not update(self._optimiser, self._network, loss):
            raise NotFinite(phase.name, loss, f"try a learning rate below {self._settings.learning_rate:g}")
        return StepResult(number // self._batches.per_epoch + 1, phase.name, loss, self._metric, value)

    def members(self, phase: Phase, number: int) -> list[SubNetwork]:
        """The sub-networks of a step: the same in all processes, but for sampled ones where sampling is independent."""
        seed = self._settings.seed
        shared = phase.sampler(self._space, np.random.default_rng((seed, 2, number)))
        if not self._independent or self._group.rank == 0:
            return shared
        own = phase.sampler(self._space, np.random.default_rng((seed, 2, number, self._group.rank)))
        return [b if a.role in self._rule.sampled else a for a, b in zip(shared, own, strict=True)]

    def backward(self, phase: Phase, members: list[SubNetwork], inputs: Tensor, targets: Tensor, number: int) -> Tensor:
        """Backpropagate every sub-network; gradients add up in the parameters.

        Returns:
            [2]: the mean loss, and the first of the task's measures, of the first sub-network.
        """
        passes = phase.passes(members)
        check_passes(passes, members)
        factors = iter(phase.gradients(members))
        soft, losses, values = self._soft(inputs), list[Tensor](), list[Tensor]()
        for together in passes:
            options = self._options(together, seed_of(self._settings.seed, 3, number, len(losses)))
            total: Tensor | None = None
            with autocast(self._settings.device):
                outputs = self._forward(inputs, [member.arch for member in together], options)
                for member, output in zip(together, outputs, strict=True):
                    loss, soft = phase.target(self._task, output.float(), targets, member, soft)
                    total = loss * next(factors) if total is None else total + loss * next(factors)
                    losses.append(loss.detach())
            assert total is not None
            total.backward()  # type: ignore[no-untyped-call]
            if not values:
                values.append(self._task.measure(outputs[0].detach(), targets)[:, 0].mean())
        return torch.stack([torch.stack(losses).mean(), *values])

    @property
    def state(self) -> dict[str, Any]:
        """Weights, the optimiser's state, the phase and its teacher."""
        return {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "entered": self._entered,
            "teacher": None if self._teacher is None else self._teacher.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._entered = int(state["entered"])
        entered = self._phases[: self._entered]
        if state["teacher"] is not None:
            maker = [phase.teacher for phase in entered if phase.teacher is not None][-1]
            self._set_teacher(maker(self._network, self._batches.calibration(2)))  # its weights come from the state
            assert self._teacher is not None
            self._teacher.load_state_dict(state["teacher"])
        self._freeze(entered[-1])

    def _enter(self, phase: Phase) -> None:
        if self._entered == 0 and self._rule.initialise is not None:
            self._rule.initialise(self._network)
        self._entered += 1
        if phase.prepare is not None:
            phase.prepare(self._network)
            self._optimiser.state.clear()  # momentum of channels that moved is meaningless
        if phase.teacher is not None:
            self._set_teacher(phase.teacher(self._network, self._batches.calibration()))
        self._freeze(phase)

    def _set_teacher(self, teacher: nn.Module) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._network.train()

    def _freeze(self, phase: Phase) -> None:
        for name, parameter in self._network.named_parameters():
            parameter.requires_grad_(not phase.freeze(name))

    def _rate(self, number: int) -> float:
        at = self._entered - 1
        start = self._starts[at]
        end = self._starts[at + 1] if at + 1 < len(self._starts) else self._batches.steps
        phase = self._phases[at]
        return self._settings.learning_rate * phase.learning_rate * phase.schedule((number - start) / (end - start))

    def _soft(self, inputs: Tensor) -> Tensor | None:
        """What the frozen teacher says, if there is one."""
        if self._teacher is None:
            return None
        with autocast(self._settings.device), torch.no_grad():
            return self._task.soft(self._teacher(inputs).float())

    def _options(self, together: list[SubNetwork], seed: int) -> PassOptions:
        rule, roles = self._rule, {member.role for member in together}
        regularised = not roles.isdisjoint(rule.regularised)
        synchronised = not self._independent or roles.isdisjoint(rule.sampled)
        return PassOptions(rule.dropout * regularised, rule.drop_connect * regularised, seed, self._group, synchronised)


def phase_starts(shares: list[float], steps: int) -> list[int]:
    """First step of each phase when `steps` are divided by `shares`."""
    ends = np.cumsum([0.0, *shares]) / sum(shares)
    return [round(float(end) * steps) for end in ends[:-1]]
