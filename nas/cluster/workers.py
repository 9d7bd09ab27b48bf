"""The worker processes of a pool: started, given batches, and replaced when they die."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from nas.cluster.actor import Worker
from nas.cluster.batches import TRIES, Answer, Batch
from nas.errors import UsageError, WorkersLost
from nas.evaluation.evaluator import Evaluator

LOOK_S = 1.0  # between two looks at the clock while nothing happens
GATHER_S = 10.0  # that the first worker waits for others before work begins


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The size of a pool and of its workers.

    Args:
        workers: How many.
        cpus, gpus: Of each; fractions share one.
        threads: Of torch in each.
        patience_s: How long all may wait for a place.
    """

    workers: int
    cpus: float
    gpus: float
    threads: int
    patience_s: float

    def __post_init__(self) -> None:
        if self.workers < 1 or self.threads < 1:
            raise UsageError(f"a pool needs workers >= 1 and threads >= 1, got {self.workers} and {self.threads}")
        if not 0 <= self.cpus < float("inf") or not 0 <= self.gpus < float("inf"):
            raise UsageError(f"a worker needs 0 or more CPUs and GPUs, got {self.cpus} and {self.gpus}")


@dataclass(eq=False, slots=True)
class WorkerSlot:
    """A place in the group, and the worker that has it.

    Args:
        actor: The worker; None once it is given up.
        call: What is awaited of it; None where it is idle.
        state: What it does.
        batch: What it works on while busy.
        build_failures: How often its evaluator could not be built.
    """

    actor: Any = None
    call: Any = None
    state: Literal["arriving", "preparing", "idle", "busy", "empty"] = "empty"
    batch: Batch | None = None
    build_failures: int = 0


@final
class WorkerGroup:
    """As many workers as the cluster has room for, up to a number.

    Args:
        ray: The module, connected.
        build: Makes a worker's evaluator.
        arguments: Its keyword arguments; each goes into the object store once.
        settings: How many workers, and of what size.
    """

    def __init__(
        self, ray: Any, build: Callable[..., Evaluator], arguments: Mapping[str, object], settings: PoolSettings
    ) -> None:
        self._ray, self._build, self._settings = ray, build, settings
        self._arguments = {name: ray.put(value) for name, value in arguments.items()}
        self._class = ray.remote(num_cpus=settings.cpus, num_gpus=settings.gpus, max_restarts=0, max_task_retries=0)(
            Worker
        )
        self._deaths = 0  # of starting workers, since somebody last got anything done
        self._reason = ""
        self._unplaced_since = time.monotonic()
        self._expected = self._places()
        self._slots = [WorkerSlot() for _ in range(settings.workers)]
        for slot in self._slots:
            self._fill(slot)

    @property
    def alive(self) -> int:
        """How many workers are ready or at work."""
        return sum(slot.state in ("idle", "busy") for slot in self._slots)

    def idle(self) -> list[WorkerSlot]:
        """Those that wait for a batch."""
        return [slot for slot in self._slots if slot.state == "idle"]

    def assign(self, slot: WorkerSlot, batch: Batch) -> None:
        """Have an idle worker evaluate a batch."""
        slot.call = slot.actor.evaluate.remote(list(batch.archs))
        slot.batch, slot.state = batch, "busy"

    def gather(self) -> None:
        """Wait for a worker, and a while for all others that there seems to be room for.

        Raises:
            NasError: As for `wait`.
        """
        while not self.alive:
            self.wait()
        until = time.monotonic() + GATHER_S
        while self.alive < self._expected and time.monotonic() < until:
            if not any(slot.call is not None for slot in self._slots):
                break
            self.wait()

    def wait(self) -> tuple[Batch, Answer] | None:
        """Wait a second at most for one answer to a batch; look after those that start or have died.

        Raises:
            UsageError: An evaluator cannot be built as asked, or the cluster has no room for a worker.
            NasError: No evaluator can be built.
            WorkersLost: All workers die while they start.
        """
        awaited = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not awaited:
            raise WorkersLost(f"no worker could build its evaluator: {self._reason}")
        ready, _ = self._ray.wait(list(awaited), timeout=LOOK_S)
        if not ready:
            self._check_placed()
            return None
        slot = awaited[ready[0]]
        answer, batch = self._answer(slot.call), slot.batch
        if batch is None:
            self._started(slot, answer)
            return None
        slot.call, slot.batch, slot.state = None, None, "idle"
        if answer.kind == "lost":
            self._fill(slot)
        else:
            self._deaths = 0
        return batch, answer

    def close(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._clear(slot)

    def _started(self, slot: WorkerSlot, answer: Answer) -> None:
        """The next step of a worker that has taken one of its two steps to be ready."""
        if answer.kind == "done":
            if slot.state == "arriving":
                slot.state, slot.call = "preparing", slot.actor.prepare.remote()
            else:
                slot.state, slot.call, slot.build_failures, self._deaths = "idle", None, 0, 0
            return
        self._reason = answer.text
        if answer.kind == "usage":
            raise UsageError(answer.text)
        if answer.kind == "broken":
            raise RuntimeError(f"a worker could not build its evaluator\n{answer.text}")
        if answer.kind == "lost":
            self._deaths += 1
            if self._deaths >= TRIES * self._settings.workers:
                raise WorkersLost(f"all workers die while they start: {answer.text}; look at their memory")
        else:
            slot.build_failures += 1
        if slot.build_failures < TRIES:
            self._fill(slot)
        else:
            self._clear(slot)

    def _fill(self, slot: WorkerSlot) -> None:
        """Put a new worker there."""
        self._clear(slot)
        if not self._anyone_placed():
            self._unplaced_since = time.monotonic()
        slot.actor = self._class.remote(self._build, self._arguments, self._settings.threads)
        slot.state, slot.call = "arriving", slot.actor.arrive.remote()

    def _clear(self, slot: WorkerSlot) -> None:
        if slot.actor is not None:
            self._ray.kill(slot.actor)
        slot.actor, slot.call, slot.batch, slot.state = None, None, None, "empty"

    def _answer(self, call: Any) -> Answer:
        errors = self._ray.exceptions
        try:
            answer: Answer = self._ray.get(call)
        except errors.RayTaskError as error:  # it could not read what it was sent, or its answer could not be sent
            return Answer("broken", str(error))
        except errors.OutOfMemoryError as error:
            return Answer("lost", f"out of memory: {_line(error)}")
        except errors.RayError as error:
            if "creation task" in str(error):  # its machine cannot import what it should run
                return Answer("broken", str(error))
            return Answer("lost", f"its worker died: {_line(error)}")
        return answer

    def _anyone_placed(self) -> bool:
        return any(slot.state in ("preparing", "idle", "busy") for slot in self._slots)

    def _check_placed(self) -> None:
        waited = time.monotonic() - self._unplaced_since
        if not self._anyone_placed() and waited > self._settings.patience_s:
            raise UsageError(f"no worker found a place within {self._settings.patience_s:g} s: {self.resources()}")

    def _places(self) -> int:
        """How many of the workers the cluster seems to have room for now."""
        free = self._ray.available_resources()
        wanted = {"CPU": self._settings.cpus, "GPU": self._settings.gpus}
        rooms = [int(free.get(kind, 0.0) / each) for kind, each in wanted.items() if each > 0]
        return min([self._settings.workers, *rooms])

    def fits(self) -> bool:
        """Whether any machine of the cluster could hold a worker when nobody else uses it."""
        return any(
            there.get("CPU", 0.0) >= self._settings.cpus and there.get("GPU", 0.0) >= self._settings.gpus
            for there in self._machines()
        )

    def resources(self) -> str:
        """What there is and what a worker wants, in words."""
        cpus, gpus = (sum(there.get(kind, 0.0) for there in self._machines()) for kind in ("CPU", "GPU"))
        return (
            f"the Ray cluster has {cpus:g} CPUs and {gpus:g} GPUs, and a worker wants {self._settings.cpus:g} CPUs and "
            f"{self._settings.gpus:g} GPUs on one machine; use smaller workers, or wait until there is room"
        )

    def _machines(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


def _line(error: Exception) -> str:
    """What is most telling in Ray's many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "died" in line or "killed" in line or "exit" in line]
    return " ".join((telling or lines or [type(error).__name__])[-1].split())[:200]
