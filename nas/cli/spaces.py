"""`nas spaces`: what can be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.common import Debug, Device, Json, Seed, emit

if TYPE_CHECKING:
    from nas.search_spaces import SearchSpace


def spaces(
    input_size: Annotated[
        int | None, typer.Option("--input-size", min=1, help="Fit the presets to images of N x N; default: their own.")
    ] = None,
    in_channels: Annotated[int, typer.Option("--in-channels", min=1, help="Channels of the images.")] = 3,
    classes: Annotated[int, typer.Option("--classes", min=2, help="Number of classes.")] = 10,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """List the search spaces: presets, exact sizes, choices, and the range of costs."""
    rows = [
        describe(name, preset, summary, input_size or own, in_channels, classes)
        for name, preset, summary, own in presets()
    ]
    emit({"spaces": rows}, as_json=as_json, human=[text(row) for row in rows])


def presets() -> list[tuple[str, str, str, int]]:
    """(space, preset, summary, own image size) of every preset."""
    from nas.search_spaces import mobilenet_presets

    return [("mobilenet", name, p.summary, p.input_size) for name, p in mobilenet_presets.PRESETS.items()]


def describe(name: str, preset: str, summary: str, input_size: int, in_channels: int, classes: int) -> dict[str, Any]:
    """One preset as a document; `size` is an exact integer."""
    from nas.search_spaces import get

    space = get(name, input_size=input_size, in_channels=in_channels, num_classes=classes, preset=preset)
    low, high = space.cost(space.smallest()), space.cost(space.largest())
    return {
        "space": name,
        "preset": preset,
        "summary": summary,
        "input_size": input_size,
        "in_channels": in_channels,
        "num_classes": classes,
        "size": space.size,
        "params": [low.params, high.params],
        "macs": [low.macs, high.macs],
        "choices": choices(space),
    }


def choices(space: SearchSpace) -> dict[str, list[Any]]:
    """The choices of every gene."""
    return {gene.name: list(gene.choices) for gene in space.genes}


def text(row: dict[str, Any]) -> str:
    """A preset for people; genes with equal choices share a line, blocks beyond the first are counted, not listed."""
    from nas.report import human

    lines = [
        f"{row['space']} --preset {row['preset']}: {row['summary']}",
        f"  {row['size']:,} architectures for {row['input_size']}x{row['input_size']} images of "
        f"{row['in_channels']} channels and {row['num_classes']} classes",
        "  " + ", ".join(f"{m} {human(m, row[m][0])} to {human(m, row[m][1])}" for m in ("params", "macs")),
    ]
    grouped: dict[str, list[str]] = {}
    for gene, values in row["choices"].items():
        kind = gene.rpartition(".")[2]
        grouped.setdefault(f"{kind} {{{', '.join(map(str, values))}}}", []).append(gene)
    lines += [f"  {label}: {_genes(names)}" for label, names in grouped.items()]
    return "\n".join(lines) + "\n"


def _genes(names: list[str]) -> str:
    if len(names) == 1:
        return "one gene"
    parts = sorted({name.partition(".")[0] for name in names})
    return f"{len(names)} genes in {', '.join(parts)}"
