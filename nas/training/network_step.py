"""One optimiser step of one network that learns from targets alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nas.objectives import metric_of
from nas.task import Task
from nas.training.batches import Batches, seed_of
from nas.training.loop import NotFinite, StepResult
from nas.training.optimiser import autocast, optimiser, set_rate, update
from nas.training.schedules import Schedule

PHASE = "alone"


class NetworkStep:
    """Trains one plain network; see `Trainable`.

    What the network draws from torch's own generators, such as its dropout layers, is seeded by (seed, step), so that a
    resumed run repeats an undisturbed one.

    Args:
        network: Trained in place.
        task: Its loss and measures.
        batches: The examples, and the run.
        schedule: Factor on the learning rate over the run.
        optimiser_name: "sgd" or "adamw".
        weight_decay: Of matrices and convolutions.
        no_weight_decay: Names of those that do not decay.
        smoothing: Share of a target spread over all answers.

    Raises:
        UnknownName: No such optimiser.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        batches: Batches,
        *,
        schedule: Schedule,
        optimiser_name: str,
        weight_decay: float,
        no_weight_decay: Collection[str] = (),
        smoothing: float = 0.1,
    ) -> None:
        self._network, self._task, self._batches, self._settings = network, task, batches, batches.settings
        self._adapted = batches.adapted(network.to(self._settings.device)).train()
        self._schedule, self._smoothing = schedule, smoothing
        self._optimiser = optimiser(
            optimiser_name,
            network,
            learning_rate=self._settings.learning_rate,
            weight_decay=weight_decay,
            exempt=no_weight_decay,
        )
        self._facts = {"optimiser": optimiser_name, "weight_decay": weight_decay, "smoothing": smoothing}
        self._facts["no_weight_decay"] = sorted(no_weight_decay)
        self._metric = metric_of(task.measures[0], {metric.name: metric for metric in task.metrics})

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the result, for checkpoints."""
        return {"training": PHASE, **self._settings.identity, **self._facts, "data": self._batches.digest}

    def step(self, number: int) -> StepResult:
        """See `Trainable`."""
        settings = self._settings
        set_rate(self._optimiser, settings.learning_rate * self._schedule(number / self._batches.steps))
        inputs, targets = self._batches.batch(number)
        self._optimiser.zero_grad(set_to_none=True)
        with seeded(settings.device, seed_of(settings.seed, 3, number, 0)), autocast(settings.device):
            outputs = self._adapted(inputs).float()
            loss = self._task.loss(outputs, targets, smoothing=self._smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        value = self._task.measure(outputs.detach(), targets)[:, 0].mean()
        mean = float(loss.detach())
        if not update(self._optimiser, self._network, mean):
            raise NotFinite(PHASE, mean, f"try a learning rate below {settings.learning_rate:g}")
        return StepResult(number // self._batches.per_epoch + 1, PHASE, mean, self._metric, float(value))

    @property
    def state(self) -> dict[str, Any]:
        """Weights and the optimiser's state."""
        return {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])


@contextmanager
def seeded(device: str, seed: int) -> Iterator[None]:
    """Torch's own generators seeded inside the block, and as they were after it."""
    cuda = device.startswith("cuda")
    with torch.random.fork_rng(devices=[torch.device(device)] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(torch.device(device)):
                torch.cuda.manual_seed(seed)
        yield
