"""`nas spaces`: what can be searched."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nas.cli.common import Debug, Device, Json, Seed, emit, say
from nas.errors import UsageError


def spaces(
    input_size: Annotated[
        int | None,
        typer.Option("--input-size", min=1, help="Fit presets for images to images of N x N; default: their own."),
    ] = None,
    in_channels: Annotated[int, typer.Option("--in-channels", min=1, help="Channels of the images.")] = 3,
    classes: Annotated[int, typer.Option("--classes", min=2, help="Number of classes.")] = 10,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """List the search spaces: presets, exact sizes, choices, and the range of costs."""
    from nas.pipelines import spaces as pipeline

    numbers = {"channels": in_channels, "classes": classes} | ({"size": input_size} if input_size else {})
    rows, refused = pipeline.spaces(numbers)
    if input_size is not None and not any("size" in row["task"] for row in rows):
        raise UsageError(refused[0])
    for reason in refused:
        say(reason)
    emit({"spaces": rows}, as_json=as_json, human=[text(row) for row in rows])


def text(row: dict[str, Any]) -> str:
    """A preset for people; genes with equal choices share a line, blocks beyond the first are counted, not listed."""
    from nas.search_spaces import COSTS

    lines = [
        f"{row['space']} --preset {row['preset']}: {row['summary']}",
        f"  {row['size']:,} architectures for {row['shown_for']}",
        "  " + ", ".join(f"{m.name} {m.text(row[m.name][0])} to {m.text(row[m.name][1])}" for m in COSTS),
    ]
    grouped: dict[str, list[str]] = {}
    for gene, values in row["choices"].items():
        grouped.setdefault(f"{row['kinds'][gene]} {{{', '.join(map(str, values))}}}", []).append(gene)
    lines += [f"  {label}: {_genes(names)}" for label, names in grouped.items()]
    return "\n".join(lines) + "\n"


def _genes(names: list[str]) -> str:
    if len(names) == 1:
        return "one gene"
    parts = sorted({name.partition(".")[0] for name in names})
    return f"{len(names)} genes in {', '.join(parts)}"
