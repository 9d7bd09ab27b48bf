"""Training an architecture on from the weights it inherits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.pipelines.devices import resolve_device
from nas.pipelines.evaluate import inherited_metrics, network_metrics
from nas.pipelines.runs import Run, as_run

if TYPE_CHECKING:
    from nas.search_spaces import Architecture
    from nas.training import Progress


@dataclass(frozen=True, slots=True)
class FineTuned:
    """A network that was trained on.

    Args:
        arch: Its architecture.
        inherited: Its metrics before.
        metrics: Its metrics now.
        out: The folder that `nas.load` opens.
    """

    arch: Architecture
    inherited: dict[str, float]
    metrics: dict[str, float]
    out: Path


def finetune(
    run: Run | Path | str,
    arch: str | Path | Architecture = "best",
    *,
    epochs: int = 10,
    learning_rate: float = 0.01,
    seed: int = 0,
    data: str | None = None,
    out: Path | str | None = None,
    device: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> FineTuned:
    """Fine-tune an architecture from its inherited weights; writes a folder that `nas.load` opens.

    Args:
        run: A run, or its folder.
        arch: As for `Run.find`.
        epochs: Passes over the train split.
        learning_rate: Peak; lower than from scratch, for the weights are good.
        seed: Of order and augmentation.
        data: Where the run's data set is now; None looks where it was.
        out: The folder; None: finetuned-<digest> inside the run.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        progress: Called after every step.

    Raises:
        UsageError: The folder holds something, or a setting is out of range.
        UnknownName: No such architecture.
        Diverged: A loss or gradient is not finite.
    """
    from nas.evaluation.population.evaluator import SupernetEvaluator
    from nas.exporting import Deployed, export_network
    from nas.supernets import train_alone

    if not learning_rate > 0:
        raise UsageError(f"--learning-rate must be above 0, got {learning_rate}")
    chosen = resolve_device(device)
    opened = as_run(run)
    member, loaded = opened.find(arch), opened.data(data)
    supernet, space = opened.stored.supernet, opened.stored.supernet.space
    target = opened.directory / f"finetuned-{member.digest}" if out is None else Path(out)
    if target.exists() and (out is None or not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: already holds something; choose another --out")
    inherited = inherited_metrics(supernet, loaded, member, device=chosen)
    network = supernet.extract(member, SupernetEvaluator(supernet, loaded, device=chosen).statistics(member))
    train_alone(
        loaded.adapted(network), loaded, space=space, arch=member, epochs=epochs, learning_rate=learning_rate,
        seed=seed, device=chosen, progress=progress,
    )  # fmt: skip
    metrics = inherited | network_metrics(network, loaded, device=chosen)
    deployed = Deployed(network.cpu(), member, space, opened.stored.preprocessing, metrics)
    export_network(deployed, target, format="safetensors")
    return FineTuned(member, inherited, metrics, target)
