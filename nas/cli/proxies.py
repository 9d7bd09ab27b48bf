"""`nas proxies`: what zero-shot scores say about a sample of networks, and how far that is true."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Data, Debug, Device, Json, Out, Seed, emit, resolve_device
from nas.cli.train import Preset, Space
from nas.errors import UsageError
from nas.files import write_json, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nas.proxies import Agreement
    from nas.search_spaces import Architecture

SCORES, PICTURE, DOCUMENT = "scores.jsonl", "proxies.png", "proxies.json"
SHARED = "s/net: medians; a pass that several share counts for the first that needs it"
USUAL = "gradsign,synflow,snip,fisher,grad_norm,jacob_cov,nwot,l2_norm,zico"
FOR_TEXT = "gradsign,wpca,vpca,snip,grad_norm,l2_norm"


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
    import numpy as np

    from nas.cli import runs
    from nas.cli.progress import count_bar
    from nas.cli.sources import measured_accuracies, scored_task
    from nas.evaluation.proxy_evaluator import ProxyEvaluator
    from nas.evaluation.tabular.evaluator import located
    from nas.proxies import BASELINES, COMBINED, aggregate, agreement, parts_of

    began, seed = time.monotonic(), seed or 0
    chosen = resolve_device(device)
    if table is not None:
        located(table)  # before images are read
    task = scored_task(space, data, preset, supernet, images=images, seed=seed)
    names = _names(which, tokens=not task.x.is_floating_point())
    wanted = parts_of([*names, *BASELINES])
    truth = measured_accuracies(task, supernet, table, device=chosen)
    archs = truth.sample(sample, seed) if truth is not None else task.sample(sample, seed)
    accuracy = None if truth is None else np.array(truth.of(archs))
    evaluator = ProxyEvaluator(
        task.space, wanted, task.x, task.y, device=chosen, seed=seed, repeats=repeats
    )  # fmt: skip
    raw = []
    with count_bar("scoring", len(archs)) as step:
        for arch in archs:
            raw.append(evaluator.raw(arch))
            step()
    columns = {name: np.array([scores[name] for scores in raw]) for name in wanted}
    # Medians: the first network of a process pays for what torch does once.
    seconds = {name: float(np.median(evaluator.seconds[name])) for name in wanted}
    for name in names:
        if name in COMBINED:
            columns[name] = aggregate({part: columns[part] for part in COMBINED[name]})
            seconds[name] = sum(seconds[part] for part in COMBINED[name])
    shown = list(dict.fromkeys([*names, *BASELINES]))
    agreements = (
        {}
        if accuracy is None
        else {name: agreement(columns[name], accuracy, columns["params"], seed=seed) for name in shown}
    )
    directory = out or runs.default_out(f"proxies-{task.space.name}", task.spec)
    directory.mkdir(parents=True, exist_ok=True)
    _keep(directory / SCORES, archs, {name: columns[name] for name in shown}, accuracy)
    document: dict[str, Any] = {
        "space": task.space.name, "preset": task.space.preset, "data": task.spec, "seed": seed, "device": chosen,
        "networks": len(archs), "images": len(task.x), "repeats": repeats,
        "accuracies": None if truth is None else truth.source, "note": None if truth is None else truth.note,
        "proxies": [_row(name, agreements.get(name), seconds[name]) for name in shown],
        "out": str(directory), "wall_s": time.monotonic() - began,
    }  # fmt: skip
    write_json(directory / DOCUMENT, document)
    human = _human(directory, shown, columns, accuracy, agreements, seconds)
    if truth is not None and truth.note:
        human.append(truth.note)
    if not task.x.is_floating_point():
        human.append("texts have no classes: these are made up, which scores that read classes feel")
    emit(document, as_json=as_json, human=human)


def _human(
    directory: Path, shown: list[str], columns: dict[str, NDArray[np.float64]], accuracy: NDArray[np.float64] | None,
    agreements: dict[str, Agreement], seconds: dict[str, float],
) -> list[Any]:  # fmt: skip
    from nas.evaluation.metrics import DECLARED
    from nas.reports.proxies import agreement_table, draw_scatter, scores_table
    from nas.task import ACCURACY

    part = {name: columns[name] for name in shown}
    if accuracy is None:
        return [
            scores_table(part, columns["params"], seconds, metrics=DECLARED),
            SHARED,
            "no accuracies to compare with: --supernet has those of a trained run,",
            "a benchmark's table those of its data (nasbench201 cifar10:, flexibert text:)",
            f"{directory / SCORES} has every score",
        ]
    draw_scatter(part, accuracy, agreements, directory / PICTURE, metrics=DECLARED, truth=ACCURACY)
    return [
        agreement_table(agreements, seconds, len(accuracy), metrics=DECLARED, truth=ACCURACY),
        "a proxy that does not beat params and macs says nothing about these networks",
        SHARED,
        f"{directory / PICTURE} shows them, {directory / SCORES} has every score",
    ]


def _names(which: str | None, *, tokens: bool) -> list[str]:
    from nas.proxies import get, names, parts_of

    if which == "all":
        missing = "real_inputs" if tokens else "feed_forward_blocks"
        return [name for name in names() if all(get(part).needs != missing for part in parts_of([name]))]
    chosen = [name.strip() for name in (which or (FOR_TEXT if tokens else USUAL)).split(",") if name.strip()]
    if not chosen:
        raise UsageError("--proxies names none; for example --proxies gradsign,nwot")
    parts_of(chosen)
    return chosen


def _row(name: str, agreement: Agreement | None, seconds: float) -> dict[str, Any]:
    return {"proxy": name, "seconds": seconds} | ({} if agreement is None else asdict(agreement))


def _keep(
    path: Path, archs: list[Architecture], columns: dict[str, NDArray[np.float64]], accuracy: NDArray[np.float64] | None
) -> None:
    """One JSON object a network; what is not finite is null."""
    lines = []
    for i, arch in enumerate(archs):
        row: dict[str, Any] = {"digest": arch.digest, "arch": arch.to_json()}
        row["scores"] = {n: float(c[i]) if math.isfinite(c[i]) else None for n, c in columns.items()}
        if accuracy is not None:
            row["accuracy"] = float(accuracy[i])
        lines.append(json.dumps(row))
    write_text(path, "\n".join(lines) + "\n")
