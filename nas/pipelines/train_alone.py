"""One network trained by itself, without a supernet, into a folder that `nas.load` opens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import CheckpointError, UnknownName, UsageError
from nas.pipelines.devices import resolve_device
from nas.pipelines.evaluate import network_metrics
from nas.pipelines.problem import load_problem
from nas.pipelines.runs import NETWORK_DOCUMENT, architecture_of, default_out
from nas.pipelines.train import epochs_for

if TYPE_CHECKING:
    from nas.data import Dataset
    from nas.search_spaces import Architecture, SearchSpace
    from nas.training import Progress


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network with weights of its own.

    Args:
        arch: Its architecture.
        metrics: Of the validation and, behind `test_`, of the test split, and the exact costs.
        out: The folder that `nas.load` opens and `export` converts.
    """

    arch: Architecture
    metrics: dict[str, float]
    out: Path


def train_alone(
    space: str | SearchSpace | None,
    arch: str | Path | Architecture,
    data: str | Dataset | None,
    *,
    preset: str | None = None,
    train_images: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimiser: str = "sgd",
    learning_rate: float | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> TrainedNetwork:
    """Train one architecture from fresh weights, and write a folder with the network.

    While it trains, its checkpoint is beside that folder, in one whose name ends with `.training`.

    Args:
        space: A name, see `nas.search_spaces.FAMILIES`, or a space; with a supernet or without.
        arch: A JSON file, "largest", "smallest", or an architecture.
        data: What `nas.data.load` takes, or a data set.
        preset: Of the space; None takes its default for these data.
        train_images: Train on so many examples only.
        epochs: Passes over the train split; None: by its size.
        batch_size: Examples a step; None: 128.
        optimiser: "sgd" or "adamw".
        learning_rate: Peak; None: the optimiser's, in proportion to the batch size.
        seed: Of weights, order and augmentation.
        out: The folder; None: results/<space>-<data>-<digest>.
        resume: Go on where an interrupted training stopped.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        progress: Called after every step.

    Raises:
        UsageError: Something is missing or does not fit, or the folder holds something else.
        UnknownName: No such space, preset, data set, architecture or optimiser.
        CheckpointError: Training was interrupted here and is not to be resumed, or with other settings.
        StudyError: Another process trains into this folder.
        Diverged: A loss or gradient is not finite.
    """
    chosen = resolve_device(device)
    loaded, made = load_problem(space, data, preset=preset, train_images=train_images)
    member = architecture_of(made, arch)
    if member is None:
        raise UnknownName("architecture (no such file either)", str(arch), ("largest", "smallest"))
    target = Path(f"{default_out(made.name, loaded.spec)}-{member.digest}") if out is None else Path(out)
    unfinished = target.with_name(f"{target.name}.training")
    there = _finished(target, made, member, resume=resume)
    if there is None:
        job = _Job(made, member, loaded, epochs, batch_size, optimiser, learning_rate, seed, chosen, progress)
        there = job.run(target, unfinished, resume=resume)
    shutil.rmtree(unfinished, ignore_errors=True)  # that of a process that was killed right here, too
    return there


def _finished(target: Path, space: SearchSpace, arch: Architecture, *, resume: bool) -> TrainedNetwork | None:
    """The network that is there already; None where it has to be trained.

    Raises:
        UsageError: The folder holds something, and this is not its training to be resumed.
    """
    from nas import exporting

    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    if not resume or not (target / NETWORK_DOCUMENT).is_file():
        raise UsageError(f"{target}: already holds something; choose another --out")
    deployed = exporting.load(target)
    if (deployed.space.digest, deployed.arch) != (space.digest, arch):
        raise UsageError(f"{target}: holds another network, {deployed.arch.digest}; choose another --out")
    return TrainedNetwork(arch, deployed.metrics, target)


@dataclass(frozen=True, slots=True)
class _Job:
    """A training that is about to begin."""

    space: SearchSpace
    arch: Architecture
    data: Dataset
    epochs: int | None
    batch_size: int | None
    optimiser: str
    learning_rate: float | None
    seed: int
    device: str
    progress: Callable[[Progress], None] | None

    def run(self, target: Path, unfinished: Path, *, resume: bool) -> TrainedNetwork:
        """Train, evaluate and write the folder."""
        from nas.exporting import Deployed, export_network
        from nas.ledger import DriverLock
        from nas.networks import network
        from nas.supernets import train_alone
        from nas.supernets.training import DEFAULT_BATCH
        from nas.training import CHECKPOINT

        interrupted = (unfinished / CHECKPOINT).exists()
        if interrupted and not resume:
            raise CheckpointError(
                f"{target}: training was interrupted here; go on with --resume, or choose another --out"
            )
        unfinished.mkdir(parents=True, exist_ok=True)
        lock = DriverLock(unfinished)
        try:
            fresh = network(self.space, self.arch, seed=self.seed)
            train_alone(
                self.data.adapted(fresh), self.data, space=self.space, arch=self.arch,
                epochs=self.epochs or epochs_for(self.data.size("train")), batch_size=self.batch_size or DEFAULT_BATCH,
                optimiser=self.optimiser, learning_rate=self.learning_rate, seed=self.seed, device=self.device,
                directory=unfinished, resume=interrupted, progress=self.progress,
            )  # fmt: skip
            metrics = dict[str, float](self.space.cost(self.arch)._asdict())
            metrics |= network_metrics(fresh, self.data, device=self.device)
            deployed = Deployed(fresh.cpu(), self.arch, self.space, self.data.preprocessing, metrics)
            export_network(deployed, target, format="safetensors")
        finally:
            lock.release()
            if not (unfinished / CHECKPOINT).exists():  # there is nothing to go on from
                shutil.rmtree(unfinished, ignore_errors=True)
        return TrainedNetwork(self.arch, metrics, target)
