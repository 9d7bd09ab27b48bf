"""`nas finetune`: train an architecture on from the weights it inherits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.common import Arch, Debug, Device, Json, Out, Run, RunData, Seed, emit, resolve_device
from nas.errors import UsageError
from nas.objectives import TEST_PREFIX

if TYPE_CHECKING:
    from torch import nn

    from nas.data import ImageData


def finetune(
    directory: Run,
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
    from nas.cli.evaluate import scored
    from nas.cli.progress import training_bar
    from nas.cli.runs import open_run
    from nas.evaluation.population.evaluator import SupernetEvaluator
    from nas.exporting import Deployed, export_network
    from nas.supernets import train_alone

    if not learning_rate > 0:
        raise UsageError(f"--learning-rate must be above 0, got {learning_rate}")
    chosen = resolve_device(device)
    run = open_run(directory)
    member, images = run.find(arch), run.data(data)
    supernet, space = run.stored.supernet, run.stored.supernet.space
    target = out or directory / f"finetuned-{member.digest}"
    if target.exists() and (out is None or not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: already holds something; choose another --out")
    began = time.monotonic()
    before = scored(supernet, images, member, device=chosen)
    network = supernet.extract(member, SupernetEvaluator(supernet, images, device=chosen).statistics(member))
    with training_bar("fine-tuning") as progress:
        train_alone(
            network, images, space=space, arch=member, epochs=epochs, learning_rate=learning_rate, seed=seed or 0,
            device=chosen, progress=progress,
        )  # fmt: skip
    after = before | scores(network, images, device=chosen)
    export_network(
        Deployed(network.cpu(), member, space, run.stored.preprocessing, after), target, format="safetensors"
    )
    emit(
        {
            "digest": member.digest,
            "arch": member.to_json(),
            "before": before,
            "metrics": after,
            "out": str(target),
            "wall_s": time.monotonic() - began,
        },
        as_json=as_json,
        human=[
            f"{member.digest}: test accuracy {before['test_accuracy']:.2%} inherited, "
            f"{after['test_accuracy']:.2%} after {epochs} epochs",
            f"written to {target}; open it with nas.load({str(target)!r})",
        ],
    )


def scores(network: nn.Module, data: ImageData, *, device: str) -> dict[str, float]:
    """The task's metrics of a plain network on the validation and the test split."""
    from nas.evaluation.population.scores import score

    network = network.to(device).eval()
    tested = score(network, data, "test", device=device)
    return score(network, data, "validation", device=device) | {TEST_PREFIX + name: v for name, v in tested.items()}
