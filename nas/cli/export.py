"""`nas export`: one architecture as a checkpoint of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.common import ArchOrNone, Debug, Device, Json, Out, RunData, RunFolder, Seed, emit


def export(
    directory: RunFolder,
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
    from nas.pipelines import export as pipeline

    result = pipeline.export(directory, arch, format=format, out=out, data=data, device=device)
    digest = result.arch.digest
    document = {"digest": digest, "format": format, "out": str(result.path), "metrics": result.metrics}
    human = [f"{digest} written to {result.path}; its logits equal those it was made from"]
    emit(document, as_json=as_json, human=human)
