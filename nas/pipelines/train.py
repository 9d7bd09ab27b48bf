"""Training a supernet into a run's folder: `nas.train`, and what `nas.search` does where there is none yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import CheckpointError, UsageError
from nas.pipelines.devices import resolve_device
from nas.pipelines.problem import load_problem
from nas.pipelines.runs import SUPERNET, SUPERNET_DOCUMENT, Run, default_out, open_run

if TYPE_CHECKING:
    from nas.cluster.training import Workers
    from nas.data import Dataset
    from nas.search_spaces import SearchSpace
    from nas.supernets import StoredSupernet
    from nas.training import Progress, TrainingRule

DEFAULT_RULE = "sandwich"
# Without a number of epochs: as many as show this many examples, within these bounds.
EXAMPLES_SHOWN, FEWEST_EPOCHS, MOST_EPOCHS = 40_000, 8, 100


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a supernet is trained; None takes the default, or what is there already.

    Args:
        rule: A rule or its name.
        epochs: Passes over the train split; the default follows its size.
        batch_size: Examples a step.
        learning_rate: Peak; the default is the rule's, in proportion to the batch size.
        train_images: Of how many rows the train split was left; for the record.
        seed: Of weights, order, augmentation, sub-networks and noise.
        workers: Ray workers that share every batch; None trains in this process.
    """

    rule: str | TrainingRule | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    train_images: int | None = None
    seed: int | None = None
    workers: Workers | None = None

    def resolved_rule(self) -> TrainingRule:
        """The rule itself.

        Raises:
            UnknownName: No such rule.
        """
        from nas.supernets import rules

        rule = self.rule or DEFAULT_RULE
        return rules.get(rule) if isinstance(rule, str) else rule

    def wanted(self) -> dict[str, Any]:
        """What was asked for, by its name in a stored recipe; None: anything."""
        rule = self.rule if self.rule is None or isinstance(self.rule, str) else self.rule.name
        names = ("epochs", "batch_size", "learning_rate", "seed")
        return {"rule": rule, **{name: getattr(self, name) for name in names}}


def train(
    space: str | SearchSpace | None = None,
    data: str | Dataset | None = None,
    *,
    preset: str | None = None,
    train_images: int | None = None,
    rule: str | TrainingRule | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    workers: int | Workers | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    news: Callable[[str], None] | None = None,
) -> Run:
    """Train a supernet and keep it in a run's folder, from where `nas.search` takes it as often as you like.

        run = nas.train("mobilenet", "digits", epochs=10)
        nas.search(supernet=run.directory)

    Args:
        space: A name, see `nas.search_spaces.FAMILIES`, or a space.
        data: What `nas.data.load` takes, such as "digits", or a data set.
        preset: Of the space; None takes its default for these data.
        train_images: Train on so many images only.
        rule: A training rule or its name; None: "sandwich".
        epochs: Passes over the train split; None: by its size.
        batch_size: Examples a step; None: 128.
        learning_rate: Peak; None: the rule's, in proportion to the batch size.
        seed: Same seed, same weights; None: 0.
        workers: Ray workers that share every batch, or how many; None trains in this process.
        out: The run's folder; None: results/<space>-<data>.
        resume: Go on where an interrupted training stopped; a supernet that is complete is then taken as it is.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        progress: Called after every step.
        news: Called with a line where something else happens, such as that a supernet is there already.

    Returns:
        The run: its folder, the supernet, and `data()`.

    Raises:
        UsageError: Something is missing or does not fit, or the folder has a supernet and `resume` is not set.
        DataError: The data are missing or damaged.
        CheckpointError: Training was interrupted here and is not to be resumed, or a file is damaged.
        Diverged: A loss or gradient is not finite.
    """
    chosen = resolve_device(device)
    recipe = Recipe(
        rule, epochs, batch_size, learning_rate, train_images, seed, training_workers(workers, chosen)
    )  # fmt: skip
    loaded, made = load_problem(space, data, preset=preset, train_images=train_images, shared=True)
    directory = default_out(made.name, loaded.spec) if out is None else Path(out)
    if (directory / SUPERNET / SUPERNET_DOCUMENT).exists() and not resume:
        raise UsageError(f"{directory}: already holds a trained supernet; choose another --out, or search it")
    obtain_supernet(
        directory, made, loaded, recipe, device=chosen, resume=resume, progress=progress, news=news
    )  # fmt: skip
    return open_run(directory)


def training_workers(workers: int | Workers | None, device: str) -> Workers | None:
    """A number of workers as workers, with a GPU each where the device is one."""
    from nas.cluster.training import Workers

    if isinstance(workers, int):
        return Workers(workers, gpus=float(device.startswith("cuda")))
    return workers


def obtain_supernet(
    directory: Path, space: SearchSpace, data: Dataset, recipe: Recipe, *, device: str, resume: bool,
    progress: Callable[[Progress], None] | None = None, news: Callable[[str], None] | None = None,
) -> StoredSupernet:  # fmt: skip
    """The run's supernet: the one that is there, or one trained now.

    Raises:
        CheckpointError: Training was interrupted here and is not to be resumed, or a file is damaged.
        StudyError: Another process works in this folder.
        UsageError: What is there was trained on other data or in another way.
        Diverged: A loss or gradient is not finite.
    """
    from nas.ledger import DriverLock
    from nas.supernets import check_shared, load

    recipe.resolved_rule()
    check_shared(space.name)
    folder = directory / SUPERNET
    if (folder / SUPERNET_DOCUMENT).exists():
        stored = load(folder)
        _check_same(directory, stored, space, data, recipe)
        if news is not None:
            news(f"using the supernet in {directory}")
        return stored
    directory.mkdir(parents=True, exist_ok=True)
    lock = DriverLock(directory)
    try:
        _train(folder, space, data, recipe, device=device, resume=resume, progress=progress)
    finally:
        lock.release()
    return load(folder)


def _train(
    folder: Path, space: SearchSpace, data: Dataset, recipe: Recipe, *, device: str, resume: bool,
    progress: Callable[[Progress], None] | None,
) -> None:  # fmt: skip
    from nas.cluster.training import train_on_workers
    from nas.supernets import build, save, train
    from nas.supernets.training import DEFAULT_BATCH
    from nas.training import CHECKPOINT

    checkpoint = folder / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise CheckpointError(f"{folder}: training was interrupted here; go on with --resume, or choose another --out")
    seed, rule, batch_size = recipe.seed or 0, recipe.resolved_rule(), recipe.batch_size or DEFAULT_BATCH
    epochs = recipe.epochs or epochs_for(data.size("train"))
    supernet = build(space, seed=seed)
    if recipe.workers is None:
        train(
            supernet, data, rule=rule, epochs=epochs, batch_size=batch_size, learning_rate=recipe.learning_rate,
            seed=seed, device=device, directory=folder, resume=checkpoint.exists(), progress=progress,
        )  # fmt: skip
    else:
        train_on_workers(
            supernet, data, recipe.workers, rule=rule, epochs=epochs, batch_size=batch_size,
            learning_rate=recipe.learning_rate, seed=seed, directory=folder, resume=checkpoint.exists(),
            progress=progress,
        )  # fmt: skip
    rate = rule.learning_rate * batch_size / DEFAULT_BATCH
    used: dict[str, Any] = {
        "rule": rule.name,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate if recipe.learning_rate is None else recipe.learning_rate,
        "seed": seed,
        "data": data.spec,
        "train_images": recipe.train_images,
        "data_digest": data.digest,
    }
    if recipe.workers is not None:
        used["workers"] = recipe.workers.count
        if recipe.workers.independent_sampling:
            used["independent_sampling"] = True
    save(folder, supernet, preprocessing=data.preprocessing, recipe=used)
    checkpoint.unlink()


def epochs_for(examples: int) -> int:
    """Epochs that show about `EXAMPLES_SHOWN` examples."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(EXAMPLES_SHOWN / examples)))


def _check_same(directory: Path, stored: StoredSupernet, space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    """Refuse a supernet that is not what was asked for; what was not asked for may be anything."""
    if stored.supernet.space.digest != space.digest:
        raise UsageError(f"{directory}: holds a supernet of another space or preset; choose another --out")
    if stored.recipe.get("data_digest", data.digest) != data.digest:
        raise UsageError(f"{directory}: holds a supernet trained on other data; choose another --out")
    for name, wanted in recipe.wanted().items():
        used = stored.recipe.get(name)
        if wanted is not None and wanted != used:
            raise UsageError(
                f"{directory}: holds a supernet trained with {name}={used}, not {wanted}; choose another --out, or "
                f"search it as it is: nas search --supernet {directory}"
            )
    if recipe.workers is not None and recipe.workers.independent_sampling:
        used = stored.recipe.get("workers") if stored.recipe.get("independent_sampling") else None
        if used != recipe.workers.count:
            raise UsageError(
                f"{directory}: holds a supernet that {used or 'no'} diverse workers trained, "
                f"not {recipe.workers.count}; choose another --out"
            )
