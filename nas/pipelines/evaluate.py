"""What one architecture of a run is worth with the weights it inherits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.pipelines.devices import resolve_device
from nas.pipelines.runs import Run, as_run, holds_network

if TYPE_CHECKING:
    from torch import nn

    from nas.data import Dataset
    from nas.search_spaces import Architecture
    from nas.supernets import Supernet


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An architecture and its metrics.

    Args:
        arch: The architecture.
        metrics: Of the validation and, behind `test_`, of the test split, and the exact costs.
    """

    arch: Architecture
    metrics: dict[str, float]


def evaluate(
    run: Run | Path | str,
    arch: str | Path | Architecture | None = None,
    *,
    data: str | None = None,
    device: str | None = None,
) -> Evaluation:
    """Score an architecture of a run, or the network of a folder, on the validation and the test split.

    Args:
        run: A run, its folder, or a folder that holds one network.
        arch: As for `Run.find`; None: "best". A folder with one network takes none.
        data: Where the run's data set is now; None looks where it was. A folder with one network does not know.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Raises:
        CheckpointError: No folder, no supernet in it, or a damaged file.
        UnknownName: No such architecture.
        DataError: The data are missing or damaged.
    """
    chosen = resolve_device(device)
    if not isinstance(run, Run) and holds_network(run):
        return _of_network(Path(run), arch, data, chosen)
    opened = as_run(run)
    member = opened.find("best" if arch is None else arch)
    return Evaluation(member, inherited_metrics(opened.stored.supernet, opened.data(data), member, device=chosen))


def _of_network(directory: Path, arch: object, data: str | None, device: str) -> Evaluation:
    """Of a folder with one network."""
    from nas import exporting
    from nas.data import load

    if arch is not None:
        raise UsageError(f"{directory}: holds one network, so --arch has no place here; leave it out")
    if data is None:
        raise UsageError(f"{directory}: holds one network, which does not know its data; give --data")
    deployed, loaded = exporting.load(directory), load(data)
    deployed.space.task.require(loaded.task, what="the data")
    metrics = dict[str, float](deployed.space.cost(deployed.arch)._asdict())
    return Evaluation(deployed.arch, metrics | network_metrics(deployed.network, loaded, device=device))


def inherited_metrics(supernet: Supernet, data: Dataset, arch: Architecture, *, device: str) -> dict[str, float]:
    """Metrics of both splits with inherited weights, and the exact costs."""
    from nas.evaluation.population.evaluator import SupernetEvaluator

    metrics = dict[str, float](supernet.space.cost(arch)._asdict())
    metrics |= SupernetEvaluator(supernet, data, split="validation", device=device).evaluate([arch])[0]
    return metrics | SupernetEvaluator(supernet, data, split="test", device=device).evaluate([arch])[0]


def network_metrics(network: nn.Module, data: Dataset, *, device: str) -> dict[str, float]:
    """The task's metrics of a plain network on the validation and the test split."""
    from nas.evaluation.population.scores import score
    from nas.objectives import TEST_PREFIX

    network = data.adapted(network.to(device)).eval()
    tested = score(network, data, "test", device=device)
    return score(network, data, "validation", device=device) | {TEST_PREFIX + name: v for name, v in tested.items()}
