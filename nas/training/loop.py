"""The loop around anything that trains step by step: checkpoints, resume, progress, the answer to divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas import files
from nas.errors import Diverged, UsageError
from nas.objectives import Metric
from nas.training.checkpoint import check_same

CHECKPOINT = "training.pt"
SECONDS_BETWEEN_CHECKPOINTS = 10.0
SAVING_SHARE = 0.05  # of the time, at most, where checkpoints are big
SMOOTHING = 0.95  # of the metric, from one step to the next


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step says of itself.

    Args:
        epoch: From 1.
        phase: Name of the stretch of training.
        loss: Its mean loss.
        metric: What else it measured.
        value: How much, on its training examples.
    """

    epoch: int
    phase: str
    loss: float
    metric: Metric
    value: float


class NotFinite(ArithmeticError):
    """Raised by a step that met a loss or gradient that is not finite, before it changed a weight.

    Args:
        phase: Name of the stretch of training.
        loss: The loss; where it is finite, the gradient is not.
        hint: What to try.
    """

    def __init__(self, phase: str, loss: float, hint: str) -> None:
        super().__init__(phase, loss, hint)
        self.phase, self.loss, self.hint = phase, loss, hint


class Trainable(Protocol):
    """What the loop runs."""

    def step(self, number: int) -> StepResult:
        """Train one step; all draws follow from its number, counted from 0.

        Raises:
            NotFinite: The loss or a gradient is not finite; the weights are those of before.
        """

    @property
    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state` goes on."""

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is.

    Args:
        step: Steps done.
        steps: Of how many.
        epoch: Current epoch, from 1.
        phase: Name of the stretch of training.
        loss: Mean loss of the step.
        metric: The first of the task's measures.
        value: Its mean over training examples, smoothed over steps.
        seconds: Time since this process started training.
        seconds_left: Estimate for the rest.
    """

    step: int
    steps: int
    epoch: int
    phase: str
    loss: float
    metric: Metric
    value: float
    seconds: float
    seconds_left: float


class Loop:
    """Runs the steps of a training, writes checkpoints and resumes from them.

    Args:
        training: What trains.
        steps: How many steps.
        directory: Where the checkpoint goes; None keeps none.
        identity: Facts that a checkpoint must share to be resumed.
        writes: Whether this process writes the checkpoint; all that train together read it.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.
    """

    def __init__(
        self,
        training: Trainable,
        steps: int,
        *,
        directory: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        writes: bool = True,
        checkpoint_s: float | None = None,
    ) -> None:
        self._training, self._steps = training, steps
        self._path = directory / CHECKPOINT if directory else None
        self._identity, self._writes = dict(identity or {}), writes
        self._checkpoint_s = SECONDS_BETWEEN_CHECKPOINTS if checkpoint_s is None else checkpoint_s
        self._value = math.nan

    def run(self, *, resume: bool = False, progress: Callable[[Progress], None] | None = None) -> None:
        """Train to the end.

        Args:
            resume: Go on from the directory's checkpoint.
            progress: Called after every step.

        Raises:
            Diverged: A loss or gradient is not finite; the last good checkpoint stays.
            CheckpointError: There is no checkpoint to resume, or it belongs to another training.
            UsageError: To resume without a directory.
        """
        start = self._restore() if resume else 0
        began = saved = time.monotonic()
        wait = self._checkpoint_s
        for number in range(start, self._steps):
            result = self._step(number)
            now = time.monotonic()
            if progress is not None:
                each = (now - began) / (number + 1 - start)
                left = each * (self._steps - number - 1)
                progress(
                    Progress(
                        number + 1, self._steps, result.epoch, result.phase, result.loss, result.metric, self._value,
                        now - began, left,
                    )
                )  # fmt: skip
            if number + 1 == self._steps or now - saved > wait:
                self._save(number + 1)
                saved = time.monotonic()
                if self._checkpoint_s > 0:
                    wait = max(self._checkpoint_s, (saved - now) / SAVING_SHARE)

    def _step(self, number: int) -> StepResult:
        try:
            result = self._training.step(number)
        except NotFinite as error:
            raise Diverged(self._divergence(number, error)) from None
        old = self._value
        self._value = result.value if math.isnan(old) else SMOOTHING * old + (1 - SMOOTHING) * result.value
        return result

    def _divergence(self, number: int, error: NotFinite) -> str:
        what = "its gradient is not finite" if math.isfinite(error.loss) else "that is not finite"
        there = self._path is not None and self._path.exists()
        kept = f"; the checkpoint {self._path} is from before" if there else ""
        at = f"step {number + 1} of {self._steps} (phase {error.phase!r})"
        return f"the loss became {error.loss:g} at {at}, {what}{kept}; {error.hint}"

    def _save(self, step: int) -> None:
        if self._path is None or not self._writes:
            return
        state = {"identity": self._identity, "step": step, "value": self._value, "training": self._training.state}
        files.save_state(self._path, state)

    def _restore(self) -> int:
        if self._path is None:
            raise UsageError("to resume, training needs the directory that holds its checkpoint")
        state = files.read_state(self._path)
        check_same(self._path, self._identity, state.get("identity", {}))
        self._training.load_state(state["training"])
        self._value = float(state["value"])
        return int(state["step"])
