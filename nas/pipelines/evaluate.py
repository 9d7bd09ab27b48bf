"""What one architecture of a run is worth with the weights it inherits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.pipelines.devices import resolve_device
from nas.pipelines.runs import Run, as_run

if TYPE_CHECKING:
    from torch import nn

    from nas.data import ImageData
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
    arch: str | Path | Architecture = "best",
    *,
    data: str | None = None,
    device: str | None = None,
) -> Evaluation:
    """Score an architecture of a run, on the validation and the test split.

    Args:
        run: A run, or its folder.
        arch: As for `Run.find`.
        data: Where the run's data set is now; None looks where it was.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Raises:
        CheckpointError: No folder, no supernet in it, or a damaged file.
        UnknownName: No such architecture.
        DataError: The data are missing or damaged.
    """
    chosen = resolve_device(device)
    opened = as_run(run)
    member = opened.find(arch)
    return Evaluation(member, inherited_metrics(opened.stored.supernet, opened.data(data), member, device=chosen))


def inherited_metrics(supernet: Supernet, data: ImageData, arch: Architecture, *, device: str) -> dict[str, float]:
    """Metrics of both splits with inherited weights, and the exact costs."""
    from nas.evaluation.population.evaluator import SupernetEvaluator

    metrics = dict[str, float](supernet.space.cost(arch)._asdict())
    metrics |= SupernetEvaluator(supernet, data, split="validation", device=device).evaluate([arch])[0]
    return metrics | SupernetEvaluator(supernet, data, split="test", device=device).evaluate([arch])[0]


def network_metrics(network: nn.Module, data: ImageData, *, device: str) -> dict[str, float]:
    """The task's metrics of a plain network on the validation and the test split."""
    from nas.evaluation.population.scores import score
    from nas.objectives import TEST_PREFIX

    network = network.to(device).eval()
    tested = score(network, data, "test", device=device)
    return score(network, data, "validation", device=device) | {TEST_PREFIX + name: v for name, v in tested.items()}
