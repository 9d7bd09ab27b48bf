"""`nas finetune`: train an architecture on from the weights it inherits."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from nas.cli.common import Arch, Debug, Device, Json, Out, RunData, RunFolder, Seed, emit


def finetune(
    directory: RunFolder,
    arch: Arch = "best",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training images.")] = 10,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="Peak; lower than from scratch, for the weights are good.")
    ] = 0.01,
    out: Out = None,
    data: RunData = None,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Fine-tune an architecture from its inherited weights; writes a folder that nas.load opens."""
    from nas.cli.progress import Bars
    from nas.pipelines import finetune as pipeline

    began = time.monotonic()
    with Bars(training="fine-tuning") as progress:
        result = pipeline.finetune(
            directory, arch, epochs=epochs, learning_rate=learning_rate, seed=seed or 0, data=data, out=out,
            device=device, progress=progress,
        )  # fmt: skip
    emit(
        {
            "digest": result.arch.digest,
            "arch": result.arch.to_json(),
            "before": result.inherited,
            "metrics": result.metrics,
            "out": str(result.out),
            "wall_s": time.monotonic() - began,
        },
        as_json=as_json,
        human=[
            f"{result.arch.digest}: test accuracy {result.inherited['test_accuracy']:.2%} inherited, "
            f"{result.metrics['test_accuracy']:.2%} after {epochs} epochs",
            f"written to {result.out}; open it with nas.load({str(result.out)!r})",
        ],
    )
