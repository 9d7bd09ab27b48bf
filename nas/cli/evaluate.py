"""`nas evaluate`: what one architecture of a run is worth."""

from __future__ import annotations

from nas.cli.common import ArchOrNone, Debug, Device, Json, RunData, RunFolder, Seed, emit


def evaluate(
    directory: RunFolder,
    arch: ArchOrNone = None,
    data: RunData = None,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Score an architecture with its inherited weights, or the network of a folder, on validation and test split."""
    from nas.evaluation.metrics import DECLARED
    from nas.objectives import metric_of
    from nas.pipelines import evaluate as pipeline

    result = pipeline.evaluate(directory, arch, data=data, device=device)
    emit(
        {"digest": result.arch.digest, "arch": result.arch.to_json(), "metrics": result.metrics},
        as_json=as_json,
        human=[
            result.arch.digest,
            *(f"  {name} {metric_of(name, DECLARED).text(value)}" for name, value in result.metrics.items()),
        ],
    )
