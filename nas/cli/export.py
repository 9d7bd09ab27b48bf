"""`nas export`: one architecture as a checkpoint of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.common import ArchOrNone, Debug, Device, Json, Out, Run, RunData, Seed, emit, resolve_device
from nas.errors import UsageError


def export(
    directory: Run,
    arch: ArchOrNone = None,
    format: Annotated[
        str, typer.Option("--format", help="safetensors (a folder for nas.load), pt2 or onnx (one file each).")
    ] = "safetensors",
    out: Out = None,
    data: RunData = None,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Write an architecture with its weights; a folder that 'nas finetune' wrote may stand in for a run."""
    from nas.exporting import check_format

    check_format(format)
    chosen = resolve_device(device)
    if (directory / "architecture.json").is_file():
        if arch is not None:
            raise UsageError(f"{directory}: holds one network, so --arch has no place here; leave it out")
        digest, path, metrics = _converted(directory, format, out)
    else:
        digest, path, metrics = _extracted(directory, arch or "best", format, out, data, chosen)
    document = {"digest": digest, "format": format, "out": str(path), "metrics": metrics}
    emit(document, as_json=as_json, human=[f"{digest} written to {path}; its logits equal those it was made from"])


def _extracted(
    directory: Path, arch: str, format: str, out: Path | None, data: str | None, device: str
) -> tuple[str, Path, dict[str, float]]:
    """From the supernet of a run."""
    from nas import exporting
    from nas.cli.evaluate import scored
    from nas.cli.runs import open_run
    from nas.evaluation.population.evaluator import SupernetEvaluator

    run = open_run(directory)
    member, images = run.find(arch), run.data(data)
    supernet = run.stored.supernet
    metrics = scored(supernet, images, member, device=device)
    path = exporting.export(
        supernet,
        member,
        out or directory / "exported" / _file(member.digest, format),
        format=format,
        statistics=SupernetEvaluator(supernet, images, device=device).statistics(member),
        preprocessing=run.stored.preprocessing,
        metrics=metrics,
    )
    return member.digest, path, metrics


def _converted(directory: Path, format: str, out: Path | None) -> tuple[str, Path, dict[str, float]]:
    """From an exported or fine-tuned folder."""
    from nas import exporting

    deployed = exporting.load(directory)
    if out is None and format == "safetensors":
        raise UsageError(f"{directory}: is of format 'safetensors' already; choose another --format, or an --out")
    path = exporting.export_network(deployed, out or directory.with_suffix(f".{format}"), format=format)
    return deployed.arch.digest, path, deployed.metrics


def _file(digest: str, format: str) -> str:
    return digest if format == "safetensors" else f"{digest}.{format}"
