"""Scores of a sample of networks by proxies, and how far they agree with measured accuracies."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UsageError
from nas.files import write_json, write_text
from nas.pipelines.accuracies import measured_accuracies
from nas.pipelines.devices import resolve_device
from nas.pipelines.inputs import ScoringInputs, scoring_inputs
from nas.pipelines.runs import Run, default_out

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nas.data import Dataset
    from nas.proxies import Agreement
    from nas.search_spaces import Architecture, SearchSpace

SCORES, PICTURE, DOCUMENT = "scores.jsonl", "proxies.png", "proxies.json"
USUAL = "gradsign,synflow,snip,fisher,grad_norm,jacob_cov,nwot,l2_norm,zico"
FOR_TEXT = "gradsign,wpca,vpca,snip,grad_norm,l2_norm"


@dataclass(frozen=True, slots=True)
class ProxyScores:
    """What proxies say about a sample of networks.

    Args:
        archs: The networks.
        scores: [n] by proxy, `params` and `macs` among them; what is not finite could not be scored.
        seconds: What a network took each, medians; a pass that several share counts for the first that needs it.
        accuracy: [n], measured; None where there is none.
        agreements: How well each orders the networks; empty without accuracies.
        out: The folder with the scores, the document and, with accuracies, a picture.
        document: What `nas proxies --json` prints.
        made_up_targets: Whether the data have no classes, so that the scores saw made-up ones.
    """

    archs: Sequence[Architecture]
    scores: dict[str, NDArray[np.float64]]
    seconds: dict[str, float]
    accuracy: NDArray[np.float64] | None
    agreements: dict[str, Agreement]
    out: Path
    document: dict[str, Any]
    made_up_targets: bool


def score_sample(
    space: str | SearchSpace | None = None, data: str | Dataset | None = None, *, preset: str | None = None,
    supernet: Run | Path | str | None = None, table: Path | str | None = None,
    proxies: str | Sequence[str] | None = None, sample: int = 100, images: int = 64,
    repeats: int = 1, out: Path | str | None = None, seed: int = 0, device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ProxyScores:  # fmt: skip
    """Score a sample of a space by proxies, and compare with measured accuracies where there are some.

    Args:
        space: A name or a space.
        data: What `nas.data.load` takes, "text:FILE" for transformers, or a data set.
        preset: Of the space.
        supernet: A run, in the place of all three; its accuracies are what is compared with.
        table: A benchmark's table to compare with; None takes the one below NAS_DATA_DIR that fits.
        proxies: Names, or a text of them with commas between, or "all"; None: a usual set.
        sample: Networks to score.
        images: Examples that a score sees.
        repeats: Initialisations that a score is the mean of.
        out: The folder; None: results/proxies-<space>-<data>.
        seed: Of the sample, the examples, the weights and what proxies draw.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
        progress: Called after each network with how many are scored, of how many.

    Raises:
        UnknownName: No such space, preset, data or proxy.
        UsageError: Something is missing or does not fit.
        DataError: The data or the table are missing or damaged.
    """
    began, chosen = time.monotonic(), resolve_device(device)
    path = None if table is None else Path(table)
    if path is not None:
        from nas.evaluation.tabular.evaluator import located

        located(path)  # before the data are read
    inputs = scoring_inputs(space, data, preset, supernet, count=images, seed=seed)
    names = _names(proxies, tokens=not inputs.x.is_floating_point())
    truth = measured_accuracies(inputs, supernet, path, device=chosen)
    archs = inputs.sample(sample, seed) if truth is None else truth.sample(sample, seed)
    accuracy = None if truth is None else _array(truth.of(archs))
    columns, seconds = _scores(inputs, archs, names, device=chosen, seed=seed, repeats=repeats, progress=progress)
    agreements = {} if accuracy is None else _agreements(columns, accuracy, seed)
    directory = default_out(f"proxies-{inputs.space.name}", inputs.spec) if out is None else Path(out)
    directory.mkdir(parents=True, exist_ok=True)
    _keep(directory / SCORES, archs, columns, accuracy)
    document: dict[str, Any] = {
        "space": inputs.space.name, "preset": inputs.space.preset, "data": inputs.spec, "seed": seed, "device": chosen,
        "networks": len(archs), "images": len(inputs.x), "repeats": repeats,
        "accuracies": None if truth is None else truth.source, "note": None if truth is None else truth.note,
        "proxies": [_row(name, agreements.get(name), seconds[name]) for name in columns],
        "out": str(directory), "wall_s": time.monotonic() - began,
    }  # fmt: skip
    write_json(directory / DOCUMENT, document)
    if accuracy is not None:
        _draw(columns, accuracy, agreements, directory / PICTURE)
    made_up = not inputs.x.is_floating_point()
    return ProxyScores(archs, columns, seconds, accuracy, agreements, directory, document, made_up)


def _array(values: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    return np.array(values, dtype=np.float64)


def _scores(
    inputs: ScoringInputs, archs: Sequence[Architecture], names: Sequence[str], *, device: str, seed: int, repeats: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:  # fmt: skip
    """Scores by proxy, the costs behind them, and seconds a network."""
    import numpy as np

    from nas.evaluation.proxy_evaluator import ProxyEvaluator
    from nas.proxies import BASELINES, COMBINED, aggregate, parts_of

    wanted = parts_of([*names, *BASELINES])
    evaluator = ProxyEvaluator(inputs.space, wanted, inputs.x, inputs.y, device=device, seed=seed, repeats=repeats)
    raw = []
    for number, arch in enumerate(archs, 1):
        raw.append(evaluator.raw(arch))
        if progress is not None:
            progress(number, len(archs))
    columns = {name: _array([scores[name] for scores in raw]) for name in wanted}
    # Medians: the first network of a process pays for what torch does once.
    seconds = {name: float(np.median(evaluator.seconds[name])) for name in wanted}
    for name in names:
        if name in COMBINED:
            columns[name] = aggregate({part: columns[part] for part in COMBINED[name]})
            seconds[name] = sum(seconds[part] for part in COMBINED[name])
    shown = list(dict.fromkeys([*names, *BASELINES]))
    return {name: columns[name] for name in shown}, {name: seconds[name] for name in shown}


def _agreements(
    columns: dict[str, NDArray[np.float64]], accuracy: NDArray[np.float64], seed: int
) -> dict[str, Agreement]:
    from nas.proxies import agreement

    return {name: agreement(column, accuracy, columns["params"], seed=seed) for name, column in columns.items()}


def _draw(
    columns: dict[str, NDArray[np.float64]], accuracy: NDArray[np.float64], agreements: dict[str, Agreement], path: Path
) -> None:
    from nas.evaluation.metrics import DECLARED
    from nas.reports.proxies import draw_scatter
    from nas.task import ACCURACY

    draw_scatter(columns, accuracy, agreements, path, metrics=DECLARED, truth=ACCURACY)


def _names(which: str | Sequence[str] | None, *, tokens: bool) -> list[str]:
    from nas.proxies import get, names, parts_of

    if which == "all":
        missing = "real_inputs" if tokens else "feed_forward_blocks"
        return [name for name in names() if all(get(part).needs != missing for part in parts_of([name]))]
    wanted = which or (FOR_TEXT if tokens else USUAL)
    listed = wanted.split(",") if isinstance(wanted, str) else wanted
    chosen = [name.strip() for name in listed if name.strip()]
    if not chosen:
        raise UsageError("--proxies names none; for example --proxies gradsign,nwot")
    parts_of(chosen)
    return chosen


def _row(name: str, agreement: Agreement | None, seconds: float) -> dict[str, Any]:
    return {"proxy": name, "seconds": seconds} | ({} if agreement is None else asdict(agreement))


def _keep(
    path: Path,
    archs: Sequence[Architecture],
    columns: dict[str, NDArray[np.float64]],
    accuracy: NDArray[np.float64] | None,
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
