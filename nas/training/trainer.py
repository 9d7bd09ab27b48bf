"""The training loop. It knows no rule by name: a rule's phases say what happens at each step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nas import files
from nas.data import ImageData, augment
from nas.errors import Diverged, UsageError
from nas.search_spaces import Architecture, SearchSpace
from nas.training.checkpoint import check_same
from nas.training.losses import soft_targets
from nas.training.optimiser import sgd
from nas.training.parallel import ALONE, Group, average_gradients, check_shares, rows_of
from nas.training.rule import Phase, Slot, TrainingRule

CHECKPOINT = "training.pt"
CLIP_NORM = 5.0
SECONDS_BETWEEN_CHECKPOINTS = 10.0
SAVING_SHARE = 0.05  # of the time, at most, where checkpoints are big


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is.

    Args:
        step: Optimiser steps done.
        steps: Of how many.
        epoch: Current epoch, from 1.
        phase: Name of the rule's phase.
        loss: Mean loss over the step's sub-networks.
        accuracy: Share of training images that the step's first sub-network got right, smoothed over steps.
        seconds: Time since this process started training.
        seconds_left: Estimate for the rest.
    """

    step: int
    steps: int
    epoch: int
    phase: str
    loss: float
    accuracy: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Noise:
    """What a pass needs besides images and architecture: regularisation, and whom it shares its batch with.

    Args:
        dropout, drop_connect: Chances.
        seed: That every draw comes from.
        group: The processes that share the batch; draws are made for all of it.
        alike: Whether all of them run this architecture now, so that they can share batch-norm statistics too.
    """

    dropout: float
    drop_connect: float
    seed: int
    group: Group = ALONE
    alike: bool = True


class Forward(Protocol):
    """How a sub-network runs in training mode."""

    def __call__(self, x: Tensor, arch: Architecture, noise: Noise) -> Tensor:
        """Normalised images [B, C, H, W] to logits [B, K]."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One training run.

    Args:
        epochs: Passes over the training split.
        batch_size: Images a step.
        learning_rate: Peak, at this batch size.
        seed: Of order, augmentation, sub-networks and noise; not negative.
        device: "cpu" or "cuda".
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0:
            raise UsageError(
                f"training needs epochs >= 1, batch size >= 2 and learning rate > 0, "
                f"got {self.epochs}, {self.batch_size} and {self.learning_rate}"
            )
        if self.seed < 0:
            raise UsageError(f"a seed must not be negative, got {self.seed}")


class Trainer:
    """Trains one network by one rule on one data set.

    Everything random is drawn from (seed, epoch) or (seed, step), so that a resumed run repeats an undisturbed one.

    In a group of processes each takes an equal share of every batch, and gradients are averaged once a step, after
    all sub-networks. Order, augmentation, noise and architectures are those of one process, and so are the weights
    but for rounding, if `forward` shares batch-norm statistics too. Any number of processes may resume.

    Args:
        network: Where the parameters live.
        forward: How one of its sub-networks runs.
        space: What the rule's sampler draws from.
        data: The images.
        rule: The rule.
        settings: The run.
        directory: Where checkpoints go; None keeps none.
        identity: Facts that a checkpoint must share to be resumed.
        group: The processes that train together; only the first writes checkpoints, which all must be able to read.
        diverse: Whether each process draws `random` sub-networks of its own, for more of them a step; what is trained
            then depends on the number of processes, and a resumed run needs as many.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.
        no_weight_decay: Names of parameters that do not decay, besides norms and biases.

    Raises:
        UsageError: A batch does not divide into equal shares.
    """

    def __init__(
        self,
        network: nn.Module,
        forward: Forward,
        space: SearchSpace,
        data: ImageData,
        rule: TrainingRule,
        settings: Settings,
        *,
        directory: Path | None = None,
        identity: dict[str, Any] | None = None,
        group: Group = ALONE,
        diverse: bool = False,
        checkpoint_s: float | None = None,
        no_weight_decay: Collection[str] = (),
    ) -> None:
        check_shares(min(settings.batch_size, len(data.train.labels)), group.size)
        self._forward, self._space, self._data, self._rule, self._settings = forward, space, data, rule, settings
        self._network = network.to(settings.device)
        self._optimiser = sgd(
            self._network, learning_rate=settings.learning_rate, weight_decay=rule.weight_decay, exempt=no_weight_decay
        )
        self._path = directory / CHECKPOINT if directory else None
        self._batches = max(1, len(data.train.labels) // settings.batch_size)
        self._steps = settings.epochs * self._batches
        self._phases = rule.phases(space)
        self._group, self._diverse = group, diverse and group.size > 1
        self._checkpoint_s = SECONDS_BETWEEN_CHECKPOINTS if checkpoint_s is None else checkpoint_s
        self._identity = {**vars_of(rule, self._phases, settings), "data": data.digest, **(identity or {})}
        self._identity["diverse"] = group.size if self._diverse else None
        self._starts = phase_starts([phase.share for phase in self._phases], self._steps)
        self._teacher: nn.Module | None = None
        self._accuracy = math.nan
        self._order = -1, torch.empty(0, dtype=torch.int64)  # the epoch whose order of images this is

    def run(self, *, resume: bool = False, progress: Callable[[Progress], None] | None = None) -> None:
        """Train to the end.

        Args:
            resume: Go on from the directory's checkpoint.
            progress: Called after every step.

        Raises:
            Diverged: A loss or gradient is not finite; the last good checkpoint stays.
            CheckpointError: There is no checkpoint to resume, or it belongs to another training.
        """
        start = self._restore() if resume else 0
        if not resume and self._rule.initialise is not None:
            self._rule.initialise(self._network)
        began = saved = time.monotonic()
        wait = self._checkpoint_s
        self._network.train()
        for step in range(start, self._steps):
            at = self._phase_at(step)
            for phase, first in zip(self._phases, self._starts, strict=True):
                if first == step:  # more than one where training is too short for all phases
                    self._enter(phase)
            loss = self._step(step, at)
            now = time.monotonic()
            if progress is not None:
                each = (now - began) / (step + 1 - start)
                progress(
                    Progress(
                        step + 1, self._steps, step // self._batches + 1, self._phases[at].name, loss, self._accuracy,
                        now - began, each * (self._steps - step - 1),
                    )
                )  # fmt: skip
            if self._writes and (step + 1 == self._steps or now - saved > wait):
                self._save(step + 1)
                saved = time.monotonic()
                if self._checkpoint_s > 0:
                    wait = max(self._checkpoint_s, (saved - now) / SAVING_SHARE)
        self._network.eval()

    @property
    def _writes(self) -> bool:
        return self._path is not None and self._group.rank == 0

    def _phase_at(self, step: int) -> int:
        return max(i for i, first in enumerate(self._starts) if first <= step)

    def _enter(self, phase: Phase) -> None:
        if phase.prepare is not None:
            phase.prepare(self._network)
            self._optimiser.state.clear()  # momentum of channels that moved is meaningless
        if phase.teacher is not None:
            self._teacher = phase.teacher(self._network, self._calibration()).eval().requires_grad_(False)
            self._network.train()
        for name, parameter in self._network.named_parameters():
            parameter.requires_grad_(not phase.freeze(name))

    def _calibration(self) -> Tensor:
        return self._normalised(self._data.calibration.images)

    def _normalised(self, images: Tensor) -> Tensor:
        x = self._data.preprocessing.normalise(images.to(self._settings.device, non_blocking=True))
        return x.contiguous(memory_format=torch.channels_last)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The own share of a step's batch: augmented, normalised images [B, C, H, W] and labels [B]."""
        epoch, position = divmod(step, self._batches)
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._settings.seed, 0, epoch))
            self._order = epoch, torch.from_numpy(rng.permutation(len(self._data.train.labels)))
        size = self._settings.batch_size
        chosen = self._order[1][position * size : (position + 1) * size]
        generator = torch.Generator().manual_seed(seed_of(self._settings.seed, 1, step))
        share = rows_of(self._group, len(chosen))
        images = augment(
            self._data.train.images[chosen],
            flip=self._data.flip,
            padding=self._data.padding,
            generator=generator,
            part=share,
        )
        return self._normalised(images), self._data.train.labels[chosen[share]].to(self._settings.device)

    def _slots(self, phase: Phase, step: int) -> list[Slot]:
        """The sub-networks of a step: the same in all processes, but for `random` ones where they are diverse."""
        slots = phase.sampler(self._space, np.random.default_rng((self._settings.seed, 2, step)))
        if not self._diverse or self._group.rank == 0:
            return slots
        own = phase.sampler(self._space, np.random.default_rng((self._settings.seed, 2, step, self._group.rank)))
        return [mine if slot.role == "random" else slot for slot, mine in zip(slots, own, strict=True)]

    def _step(self, step: int, at: int) -> float:
        """One optimiser step; returns the mean loss of its sub-networks."""
        phase = self._phases[at]
        end = self._starts[at + 1] if at + 1 < len(self._starts) else self._steps
        rate = self._settings.learning_rate * phase.learning_rate
        rate *= phase.schedule((step - self._starts[at]) / (end - self._starts[at]))
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        x, labels = self._batch(step)
        self._optimiser.zero_grad(set_to_none=True)
        watched = self._backward(phase, self._slots(phase, step), x, labels, step)
        loss, right = average_gradients(self._group, self._network.parameters(), watched).tolist()
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), CLIP_NORM)
        if not math.isfinite(loss) or not bool(torch.isfinite(norm)):
            raise Diverged(self._divergence(step, phase.name, loss))
        self._optimiser.step()
        self._accuracy = right if math.isnan(self._accuracy) else 0.95 * self._accuracy + 0.05 * right
        return float(loss)

    def _divergence(self, step: int, phase: str, loss: float) -> str:
        what = "its gradient is not finite" if math.isfinite(loss) else "that is not finite"
        there = self._path is not None and self._path.exists()
        kept = f"; the checkpoint {self._path} is from before" if there else ""
        return (
            f"the loss became {loss:g} at step {step + 1} of {self._steps} (phase {phase!r}), {what}{kept}; "
            f"try a learning rate below {self._settings.learning_rate:g}"
        )

    def _backward(self, phase: Phase, slots: list[Slot], x: Tensor, labels: Tensor, step: int) -> Tensor:
        """Backpropagate every sub-network; gradients add up in the parameters.

        Returns:
            [2]: the mean loss, and the share of images that the first sub-network got right.
        """
        cuda = self._settings.device.startswith("cuda")
        losses, right, soft = list[Tensor](), torch.full((), math.nan), None
        with torch.autocast("cuda", dtype=torch.bfloat16) if cuda else nullcontext():
            if self._teacher is not None:
                with torch.no_grad():
                    soft = soft_targets(self._teacher(x).float())
        for i, (slot, factor) in enumerate(zip(slots, phase.gradients(slots), strict=True)):
            with torch.autocast("cuda", dtype=torch.bfloat16) if cuda else nullcontext():
                logits = self._logits(slot, x, seed_of(self._settings.seed, 3, step, i)).float()
                loss, soft = phase.target(logits, labels, slot, soft)
            (loss * factor).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            if i == 0:
                right = (logits.detach().argmax(1) == labels).float().mean()
        return torch.stack([torch.stack(losses).mean(), right])

    def _logits(self, slot: Slot, x: Tensor, seed: int) -> Tensor:
        regularised = slot.role in self._rule.regularised
        alike = not (self._diverse and slot.role == "random")
        noise = Noise(self._rule.dropout * regularised, self._rule.drop_connect * regularised, seed, self._group, alike)
        return self._forward(x, slot.arch, noise)

    def _save(self, step: int) -> None:
        assert self._path is not None
        state = {
            "identity": self._identity,
            "step": step,
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "accuracy": self._accuracy,
            "teacher": None if self._teacher is None else self._teacher.state_dict(),
        }
        files.save_state(self._path, state)

    def _restore(self) -> int:
        if self._path is None:
            raise UsageError("to resume, training needs the directory that holds its checkpoint")
        state = files.read_state(self._path, self._settings.device)
        check_same(self._path, self._identity, state.get("identity", {}))
        step = int(state["step"])
        self._network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._accuracy = float(state["accuracy"])
        if state["teacher"] is not None:
            self._restore_teacher(step, state["teacher"])
        at = self._phase_at(step)
        if step != self._starts[at]:  # otherwise `run` enters the phase itself
            for name, parameter in self._network.named_parameters():
                parameter.requires_grad_(not self._phases[at].freeze(name))
        return step

    def _restore_teacher(self, step: int, weights: dict[str, Tensor]) -> None:
        entered = [p for p, first in zip(self._phases, self._starts, strict=True) if first < step]
        makers = [p.teacher for p in entered if p.teacher is not None]
        teacher = makers[-1](self._network, self._calibration()[:2])
        teacher.load_state_dict(weights)
        self._teacher = teacher.eval().requires_grad_(False)
        self._network.train()


def vars_of(rule: TrainingRule, phases: list[Phase], settings: Settings) -> dict[str, Any]:
    """The settings that decide the result; the device does not."""
    return {
        "rule": rule.name,
        **{name: getattr(settings, name) for name in ("epochs", "batch_size", "learning_rate", "seed")},
        **{name: getattr(rule, name) for name in ("weight_decay", "dropout", "drop_connect")},
        "phases": [[phase.name, phase.share, phase.learning_rate] for phase in phases],
    }


def phase_starts(shares: list[float], steps: int) -> list[int]:
    """First step of each phase when `steps` are divided by `shares`."""
    ends = np.cumsum([0.0, *shares]) / sum(shares)
    return [round(float(end) * steps) for end in ends[:-1]]


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
