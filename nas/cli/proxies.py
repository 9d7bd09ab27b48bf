"""`nas proxies`: what zero-shot scores say about a sample of networks, and how far that is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit
from nas.cli.train import Preset, Space

if TYPE_CHECKING:
    from nas.pipelines.proxies import ProxyScores

SHARED = "s/net: medians; a pass that several share counts for the first that needs it"


def proxies(
    space: Space = None,
    data: Data = None,
    preset: Preset = None,
    supernet: Annotated[
        Path | None, typer.Option("--supernet", help="Compare with what this run's supernet measures.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", help="Compare with this benchmark table; default: NAS_DATA_DIR's.")
    ] = None,
    which: Annotated[
        str | None, typer.Option("--proxies", help="Names with commas between, or 'all'; default: a usual set.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=3, help="Networks to score.")] = 100,
    images: Annotated[int, typer.Option("--images", min=2, help="Images, or windows of a text, a score.")] = 64,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Initialisations a score is the mean of.")] = 1,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a sample of a space by proxies, and compare with measured accuracies where there are some."""
    from nas.cli.progress import count_bar
    from nas.pipelines import proxies as pipeline

    with count_bar("scoring") as progress:
        result = pipeline.score_sample(
            space, data, preset=preset, supernet=supernet, table=table, proxies=which, sample=sample, images=images,
            repeats=repeats, out=out, seed=seed or 0, device=device, progress=progress,
        )  # fmt: skip
    human = _human(result)
    if result.document["note"]:
        human.append(result.document["note"])
    if result.made_up_targets:
        human.append("texts have no classes: these are made up, which scores that read classes feel")
    emit(result.document, as_json=as_json, human=human)


def _human(result: ProxyScores) -> list[Any]:
    from nas.evaluation.metrics import DECLARED
    from nas.pipelines.proxies import PICTURE, SCORES
    from nas.reports.proxies import agreement_table, scores_table
    from nas.task import ACCURACY

    scores, seconds = result.scores, result.seconds
    if result.accuracy is None:
        return [
            scores_table(scores, scores["params"], seconds, metrics=DECLARED),
            SHARED,
            "no accuracies to compare with: --supernet has those of a trained run,",
            "a benchmark's table those of its data (nasbench201 cifar10:, flexibert text:)",
            f"{result.out / SCORES} has every score",
        ]
    return [
        agreement_table(result.agreements, seconds, len(result.accuracy), metrics=DECLARED, truth=ACCURACY),
        "a proxy that does not beat params and macs says nothing about these networks",
        SHARED,
        f"{result.out / PICTURE} shows them, {result.out / SCORES} has every score",
    ]
