"""Training one supernet on many devices under Ray Train."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.cluster.connection import connected
from nas.data import Dataset
from nas.errors import CheckpointError, NasError, UsageError, WorkersLost
from nas.files import read_state
from nas.supernets import rules
from nas.supernets.supernet import Supernet
from nas.supernets.training import DEFAULT_BATCH, train
from nas.training import CHECKPOINT, Progress, TorchGroup, TrainingRule
from nas.training.parallel import check_shares

FAILURES = 3  # in a row without a new checkpoint, before training is given up
REPORT_S = 0.2  # between two reports of progress, and between two looks for them
STOP_S = 30.0  # for workers to notice that the driver was interrupted


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that train together.

    Args:
        count: How many; it does not change the result but for rounding, unless sampling is independent.
        independent_sampling: Whether each draws random sub-networks of its own.
        gpus: GPUs of each; below 1 they share one and exchange through gloo, because nccl wants one each.
        address: The Ray cluster; None takes the one that this process is connected to, or that RAY_ADDRESS names, or
            starts one here.
    """

    count: int
    independent_sampling: bool = False
    gpus: float = 0.0
    address: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.gpus < float("inf"):
            raise UsageError(f"training needs workers >= 1 with 0 or more GPUs each, got {self.count} and {self.gpus}")


@dataclass(frozen=True, slots=True)
class _Job:
    """What every worker gets through the object store."""

    supernet: Supernet
    data: Dataset
    rule: TrainingRule
    epochs: int
    batch_size: int
    learning_rate: float | None
    seed: int
    directory: Path
    independent_sampling: bool
    checkpoint_s: float | None


class Mailbox:
    """A small actor between driver and workers; its methods run one at a time."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._error: NasError | None = None
        self._stopped = False

    def report(self, progress: Progress) -> bool:
        """Take the newest progress; returns whether training should stop."""
        self._progress = progress
        return self._stopped

    def fail(self, error: NasError) -> None:
        """Take an error that a user can cause."""
        self._error = error

    def stop(self) -> None:
        """Ask the workers to stop."""
        self._stopped = True

    def news(self) -> tuple[Progress | None, NasError | None]:
        """The newest progress, and the error."""
        return self._progress, self._error


def train_on_workers(
    supernet: Supernet,
    data: Dataset,
    workers: Workers,
    *,
    rule: str | TrainingRule,
    epochs: int,
    batch_size: int = DEFAULT_BATCH,
    learning_rate: float | None = None,
    seed: int = 0,
    directory: Path | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    checkpoint_s: float | None = None,
) -> None:
    """Train a supernet as `train` does, on workers that share every batch; the weights end up in `supernet`.

    A lost worker restarts all from the last checkpoint.

    Args:
        supernet: The shared weights.
        data: The examples; each worker holds them all.
        workers: The processes.
        rule: A rule or its name.
        epochs: Passes over the train split.
        batch_size: Examples a step, of all workers together.
        learning_rate: Peak; None takes the rule's, in proportion to the batch size.
        seed: Of order, augmentation, sub-networks and noise.
        directory: Where the checkpoint is kept, on a file system that all machines of the cluster share; None takes a
            temporary folder of this machine.
        resume: Go on from that checkpoint, whatever number of workers wrote it.
        progress: Called with the newest progress a few times a second.
        checkpoint_s: Seconds between checkpoints; None is ten, or more where writing them takes long.

    Raises:
        UsageError: Ray is missing or the cluster too small, a batch does not divide, or `train` refuses a setting.
        UnknownName: No such rule.
        Diverged: A loss or gradient is not finite.
        CheckpointError: There is nothing to resume, it belongs to another training, or the folder is not shared.
        WorkersLost: Workers died three times in a row before the next checkpoint.
    """
    chosen = rules.get(rule) if isinstance(rule, str) else rule
    supernet.space.task.require(data.task, what="the data")
    check_shares(min(batch_size, data.size("train")), workers.count)
    with (
        tempfile.TemporaryDirectory() as spare,
        connected(workers.address, cpus=workers.count, purpose="training on workers") as ray,
    ):
        folder = (directory or Path(spare)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        job = _Job(
            supernet, data, chosen, epochs, batch_size, learning_rate, seed, folder, workers.independent_sampling,
            checkpoint_s,
        )  # fmt: skip
        _until_done(ray, job, workers, resume, progress)
        state = read_state(folder / CHECKPOINT)
    supernet.load_state_dict(state["training"]["network"])
    supernet.eval()


def _until_done(
    ray: Any, job: _Job, workers: Workers, resume: bool, progress: Callable[[Progress], None] | None
) -> None:
    """Run attempts until one ends well; each but the first resumes what an earlier one has written."""
    path, stored = job.directory / CHECKPOINT, ray.put(job)
    first = newest = _stamp(path)
    failures = 0
    while True:
        _check_room(ray.cluster_resources(), workers)
        mailbox = _mailbox(ray)
        config = {"job": stored, "mailbox": mailbox, "resume": resume or newest != first}
        failure = _attempt(ray, config, workers, job.directory, progress)
        told = ray.get(mailbox.news.remote())[1]
        ray.kill(mailbox)
        if failure is None:
            break
        if told is not None:
            raise told
        failures = 0 if _stamp(path) != newest else failures + 1
        newest = _stamp(path)
        if failures == FAILURES:
            raise WorkersLost(
                f"training workers died {FAILURES} times before the next checkpoint ({_reason(failure)}); "
                "look at their memory, then go on with --resume"
            )
    if _stamp(path) is None:
        raise CheckpointError(
            f"{path}: the workers' checkpoint is not here; use a folder on a file system that all machines share"
        )


def _attempt(
    ray: Any, config: dict[str, Any], workers: Workers, directory: Path, progress: Callable[[Progress], None] | None
) -> Exception | None:
    """One run of Ray Train; returns why it failed.

    It runs in a thread: there it leaves this process's handling of Ctrl-C alone, and progress is shown meanwhile.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = {"CPU": 1.0} | ({"GPU": workers.gpus} if workers.gpus else {})
    failures: list[Exception] = []
    # Ray's own attempts would begin anew, and wait without a word for machines that are gone.
    once = FailureConfig(  # type: ignore[call-arg]  # Ray's types are those of its older interface
        max_failures=0, controller_failure_limit=0, max_preemption_failures=0
    )
    with tempfile.TemporaryDirectory(prefix=".ray-", dir=directory) as storage:
        trainer = TorchTrainer(
            _work,
            train_loop_config=config,
            torch_config=TorchConfig(backend="nccl" if workers.gpus >= 1 else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=workers.count, use_gpu=workers.gpus > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(storage_path=storage, failure_config=once),
        )

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:  # whatever ended it, the attempt has failed
                failures.append(error)

        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        try:
            _watch(ray, config["mailbox"], thread, progress)
        except BaseException:
            ray.get(config["mailbox"].stop.remote())
            thread.join(STOP_S)
            raise
    return failures[0] if failures else None


def _mailbox(ray: Any) -> Any:
    """A mailbox on this machine, so that no other one takes it down."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()


def _watch(ray: Any, mailbox: Any, thread: threading.Thread, progress: Callable[[Progress], None] | None) -> None:
    """Show progress until the thread ends, and once after that."""
    shown: Progress | None = None
    running = True
    while running:
        thread.join(REPORT_S)
        running = thread.is_alive()
        newest: Progress | None = ray.get(mailbox.news.remote())[0]
        if progress is not None and newest is not None and newest != shown:
            shown = newest
            progress(newest)


def _work(config: dict[str, Any]) -> None:
    """What each worker runs."""
    import ray
    from ray.train.torch import get_device

    job, mailbox, group = ray.get(config["job"]), config["mailbox"], TorchGroup()
    try:
        train(
            job.supernet, job.data, rule=job.rule, epochs=job.epochs, batch_size=job.batch_size,
            learning_rate=job.learning_rate, seed=job.seed, device=str(get_device()), directory=job.directory,
            resume=config["resume"], progress=_reporter(ray, mailbox) if group.rank == 0 else None, group=group,
            independent_sampling=job.independent_sampling, checkpoint_s=job.checkpoint_s,
        )  # fmt: skip
    except NasError as error:
        ray.get(mailbox.fail.remote(error))
        raise


def _reporter(ray: Any, mailbox: Any) -> Callable[[Progress], None]:
    """Sends progress to the driver now and then, and ends training where the driver wants it to."""
    last = -REPORT_S

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORT_S and progress.step < progress.steps:
            return
        last = now
        if ray.get(mailbox.report.remote(progress)):
            raise RuntimeError("stopped by the driver")

    return report


def _check_room(there: dict[str, float], workers: Workers) -> None:
    for kind, each in (("CPU", 1.0), ("GPU", workers.gpus)):
        if workers.count * each > there.get(kind, 0.0):
            raise UsageError(
                f"{workers.count} workers with {each:g} {kind}s each do not fit the Ray cluster, "
                f"which has {there.get(kind, 0.0):g}; use fewer workers"
            )


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes whenever a checkpoint is written; None where there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    return there.st_ino, there.st_mtime_ns


def _reason(failure: Exception) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(failure).__name__
