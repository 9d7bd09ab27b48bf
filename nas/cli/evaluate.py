"""`nas evaluate`: what one architecture of a run is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.cli.common import Arch, Debug, Device, Json, Run, RunData, Seed, emit, resolve_device

if TYPE_CHECKING:
    from nas.data import ImageData
    from nas.search_spaces import Architecture
    from nas.supernets import Supernet


def evaluate(
    directory: Run,
    arch: Arch = "best",
    data: RunData = None,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Score an architecture with its inherited weights, on the validation and the test split."""
    from nas.cli.runs import open_run
    from nas.evaluation.metrics import DECLARED
    from nas.objectives import metric_of

    chosen = resolve_device(device)
    run = open_run(directory)
    member = run.find(arch)
    metrics = scored(run.stored.supernet, run.data(data), member, device=chosen)
    emit(
        {"digest": member.digest, "arch": member.to_json(), "metrics": metrics},
        as_json=as_json,
        human=[
            member.digest,
            *(f"  {name} {metric_of(name, DECLARED).text(value)}" for name, value in metrics.items()),
        ],
    )


def scored(supernet: Supernet, data: ImageData, arch: Architecture, *, device: str) -> dict[str, float]:
    """Metrics of both splits, and the exact costs."""
    from nas.evaluation.population.evaluator import SupernetEvaluator

    metrics = dict[str, float](supernet.space.cost(arch)._asdict())
    metrics |= SupernetEvaluator(supernet, data, split="validation", device=device).evaluate([arch])[0]
    return metrics | SupernetEvaluator(supernet, data, split="test", device=device).evaluate([arch])[0]
