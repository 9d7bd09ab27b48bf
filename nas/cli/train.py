"""`nas train`, and the training that `nas search` does where there is no supernet yet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit, resolve_device, say
from nas.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from nas.cluster.training import Workers
    from nas.data import ImageData
    from nas.search_spaces import SearchSpace
    from nas.supernets import StoredSupernet

DEFAULT_RULE = "sandwich"
# Without --epochs: as many as show this many images, within these bounds.
IMAGES_SHOWN, FEWEST_EPOCHS, MOST_EPOCHS = 40_000, 8, 100

Space = Annotated[str | None, typer.Option("--space", help="A space's name; 'nas spaces' lists them.")]
Preset = Annotated[str | None, typer.Option("--preset", help="A space's preset; default: by the size of the images.")]
TrainImages = Annotated[int | None, typer.Option("--train-images", min=1, help="Train on so many images only.")]
Rule = Annotated[
    str | None, typer.Option("--rule", help=f"bignas, sandwich, ofa or single_path; default: {DEFAULT_RULE}.")
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Passes over the training images; default: by their number.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=2, help="Images a training step; default: 128.")]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", help="Peak; default: the rule's.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a supernet should be trained; None takes the default, or what is there already."""

    rule: str | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    train_images: int | None
    seed: int | None
    workers: Workers | None = None


def train(
    space: Space = None,
    data: Data = None,
    preset: Preset = None,
    train_images: TrainImages = None,
    rule: Rule = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    out: Out = None,
    resume: Resume = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Share every batch among so many Ray workers.")
    ] = None,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Every worker draws random sub-networks of its own.")
    ] = False,
    gpus_per_worker: Annotated[
        float | None, typer.Option("--gpus-per-worker", min=0, help="Default: 1 where the device is cuda, else 0.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option("--ray", help="Address of a Ray cluster; default: one is started here.")
    ] = None,
    seed: Seed = None,
    device: Device = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a supernet; 'nas search --supernet DIR' then searches it as often as you like."""
    from nas.cli import runs

    chosen = resolve_device(device)
    crew = _crew(workers, diverse=diverse, gpus=gpus_per_worker, address=ray, device=device, found=chosen)
    wish = Wish(rule, epochs, batch_size, learning_rate, train_images, seed, crew)
    images, members = task(space, data, preset, train_images)
    directory = out or runs.default_out(members.name, images.spec)
    if (directory / runs.SUPERNET / runs.SUPERNET_DOCUMENT).exists() and not resume:
        raise UsageError(f"{directory}: already holds a trained supernet; choose another --out, or search it")
    began = time.monotonic()
    stored = trained(directory, members, images, wish, device=chosen, resume=resume)
    wall_s = time.monotonic() - began
    emit(
        {"out": str(directory), "weights": stored.digest, "recipe": dict(stored.recipe), "wall_s": wall_s},
        as_json=as_json,
        human=[f"trained in {wall_s:.0f} s; search it: nas search --supernet {directory}"],
    )


def _crew(
    count: int | None, *, diverse: bool, gpus: float | None, address: str | None, device: str | None, found: str
) -> Workers | None:
    """The workers that were asked for; None trains in this process.

    Raises:
        UsageError: Options for workers without --workers, or against --device.
    """
    from nas.cluster.training import Workers

    if count is None:
        given = {"--diverse": diverse, "--gpus-per-worker": gpus is not None, "--ray": address is not None}
        if any(given.values()):
            first = next(name for name, there in given.items() if there)
            raise UsageError(f"{first} says how workers train; say how many with --workers")
        return None
    if gpus is None:
        gpus = float(found.startswith("cuda"))
    if device is not None and device.startswith("cuda") != (gpus > 0):
        raise UsageError(f"--device {device} and --gpus-per-worker {gpus:g} contradict each other; leave out one")
    return Workers(count, diverse, gpus, address)


def task(
    space: str | None, data: str | None, preset: str | None, train_images: int | None
) -> tuple[ImageData, SearchSpace]:
    """The data set, and the space made for it.

    Raises:
        UsageError: One of them was not named.
        UnknownName: No such space, preset or kind of data.
        DataError: The data are missing or damaged.
    """
    from nas import search_spaces
    from nas.data import load

    if space is None or data is None:
        missing = "--space" if space is None else "--data"
        raise UsageError(f"{missing} is missing; for example: nas search --space mobilenet --data digits")
    search_spaces.family(space)  # before a big data set is read
    images = load(data, train_images=train_images)
    return images, search_spaces.get(space, task=images.task, preset=preset)


def trained(
    directory: Path, space: SearchSpace, data: ImageData, wish: Wish, *, device: str, resume: bool
) -> StoredSupernet:
    """The run's supernet: the one that is there, or one trained now.

    Raises:
        CheckpointError: Training was interrupted here and is not to be resumed, or a file is damaged.
        StudyError: Another process works in this folder.
        UsageError: What is there was trained on other data or in another way.
        Diverged: A loss or gradient is not finite.
    """
    from nas.cli import runs
    from nas.ledger import DriverLock
    from nas.supernets import check_shared, load, rules

    rules.get(wish.rule or DEFAULT_RULE)
    check_shared(space)
    folder = directory / runs.SUPERNET
    if (folder / runs.SUPERNET_DOCUMENT).exists():
        stored = load(folder)
        _check_same(directory, stored, space, data, wish)
        say(f"using the supernet in {directory}")
        return stored
    directory.mkdir(parents=True, exist_ok=True)
    lock = DriverLock(directory)
    try:
        _train(folder, space, data, wish, device=device, resume=resume)
    finally:
        lock.release()
    return load(folder)


def _train(folder: Path, space: SearchSpace, data: ImageData, wish: Wish, *, device: str, resume: bool) -> None:
    from nas.cli.progress import training_bar
    from nas.cluster.training import train_on_workers
    from nas.supernets import RULES, build, save, train
    from nas.supernets.training import DEFAULT_BATCH
    from nas.training import CHECKPOINT

    checkpoint = folder / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise CheckpointError(f"{folder}: training was interrupted here; go on with --resume, or choose another --out")
    seed = wish.seed or 0
    rule, batch_size = wish.rule or DEFAULT_RULE, wish.batch_size or DEFAULT_BATCH
    epochs = wish.epochs or epochs_for(len(data.train.labels))
    supernet = build(space, seed=seed)
    with training_bar(f"training: {rule}") as progress:
        if wish.workers is None:
            train(
                supernet, data, rule=rule, epochs=epochs, batch_size=batch_size, learning_rate=wish.learning_rate,
                seed=seed, device=device, directory=folder, resume=checkpoint.exists(), progress=progress,
            )  # fmt: skip
        else:
            train_on_workers(
                supernet, data, wish.workers, rule=rule, epochs=epochs, batch_size=batch_size,
                learning_rate=wish.learning_rate, seed=seed, directory=folder, resume=checkpoint.exists(),
                progress=progress,
            )  # fmt: skip
    rate = RULES[rule].learning_rate * batch_size / DEFAULT_BATCH
    recipe = {
        "rule": rule,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate if wish.learning_rate is None else wish.learning_rate,
        "seed": seed,
        "data": data.spec,
        "train_images": wish.train_images,
        "data_digest": data.digest,
    }
    if wish.workers is not None:
        recipe["workers"] = wish.workers.count
        if wish.workers.independent_sampling:
            recipe["diverse"] = True
    save(folder, supernet, preprocessing=data.preprocessing, recipe=recipe)
    checkpoint.unlink()


def epochs_for(images: int) -> int:
    """Epochs that show about `IMAGES_SHOWN` images."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(IMAGES_SHOWN / images)))


def _check_same(directory: Path, stored: StoredSupernet, space: SearchSpace, data: ImageData, wish: Wish) -> None:
    """Refuse a supernet that is not what was asked for; what was not asked for may be anything."""
    if stored.supernet.space.digest != space.digest:
        raise UsageError(f"{directory}: holds a supernet of another space or preset; choose another --out")
    if stored.recipe.get("data_digest", data.digest) != data.digest:
        raise UsageError(f"{directory}: holds a supernet trained on other data; choose another --out")
    for name in ("rule", "epochs", "batch_size", "learning_rate", "seed"):
        wanted, found = getattr(wish, name), stored.recipe.get(name)
        if wanted is not None and wanted != found:
            raise UsageError(
                f"{directory}: holds a supernet trained with {name}={found}, not {wanted}; choose another --out, or "
                f"search it as it is: nas search --supernet {directory}"
            )
    if wish.workers is not None and wish.workers.independent_sampling:
        found = stored.recipe.get("workers") if stored.recipe.get("diverse") else None
        if found != wish.workers.count:
            raise UsageError(
                f"{directory}: holds a supernet that {found or 'no'} diverse workers trained, "
                f"not {wish.workers.count}; choose another --out"
            )
