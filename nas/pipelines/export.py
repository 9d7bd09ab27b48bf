"""One architecture of a run, or one network of a folder, as a checkpoint of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.pipelines.devices import resolve_device
from nas.pipelines.evaluate import inherited_metrics
from nas.pipelines.runs import Run, as_run, holds_network

if TYPE_CHECKING:
    from nas.search_spaces import Architecture


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Args:
        arch: The architecture.
        path: A folder for "safetensors", a file for "pt2" and "onnx".
        metrics: The figures that travel with it.
    """

    arch: Architecture
    path: Path
    metrics: dict[str, float]


def export(
    run: Run | Path | str,
    arch: str | Path | Architecture | None = None,
    *,
    format: str = "safetensors",
    out: Path | str | None = None,
    data: str | None = None,
    device: str | None = None,
) -> Exported:
    """Write an architecture with its weights; a folder with one network may stand in for a run.

    `nas.export` writes from a supernet in memory; this opens what `nas.search`, `nas.train` and `finetune` wrote.

    Args:
        run: A run, its folder, or a folder that holds one network.
        arch: As for `Run.find`; None: "best". A folder with one network takes none.
        format: "safetensors" (a folder for `nas.load`), "pt2" or "onnx" (one file each).
        out: Where to write; None: inside the run, or beside the network's folder.
        data: Where the run's data set is now; None looks where it was.
        device: Where to evaluate: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Raises:
        UnknownName: No such format or architecture.
        UsageError: `arch` beside a folder with one network, or its own format without `out`.
        ExportError: The written network's outputs differ; nothing is left behind.
    """
    from nas.exporting import check_format

    check_format(format)
    chosen = resolve_device(device)
    target = None if out is None else Path(out)
    if not isinstance(run, Run) and holds_network(run):
        if arch is not None:
            raise UsageError(f"{run}: holds one network, so --arch has no place here; leave it out")
        return _converted(Path(run), format, target)
    return _extracted(as_run(run), "best" if arch is None else arch, format, target, data, chosen)


def _extracted(
    run: Run, arch: str | Path | Architecture, format: str, out: Path | None, data: str | None, device: str
) -> Exported:
    """From the supernet of a run."""
    from nas import exporting
    from nas.evaluation.population.evaluator import SupernetEvaluator

    member, images = run.find(arch), run.data(data)
    supernet = run.stored.supernet
    metrics = inherited_metrics(supernet, images, member, device=device)
    path = exporting.export(
        supernet,
        member,
        out or run.directory / "exported" / _file(member.digest, format),
        format=format,
        statistics=SupernetEvaluator(supernet, images, device=device).statistics(member),
        preprocessing=run.stored.preprocessing,
        metrics=metrics,
    )
    return Exported(member, path, metrics)


def _converted(directory: Path, format: str, out: Path | None) -> Exported:
    """From a folder with one network."""
    from nas import exporting

    deployed = exporting.load(directory)
    if out is None and format == "safetensors":
        raise UsageError(f"{directory}: is of format 'safetensors' already; choose another --format, or an --out")
    path = exporting.export_network(deployed, out or directory.with_suffix(f".{format}"), format=format)
    return Exported(deployed.arch, path, deployed.metrics)


def _file(digest: str, format: str) -> str:
    return digest if format == "safetensors" else f"{digest}.{format}"
