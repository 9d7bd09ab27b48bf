"""`nas spaces`: what can be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from nas.cli.common import Debug, Device, Json, Seed, emit, say
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.search_spaces import SearchSpace


IMAGE_CHANNELS = 3


class Listed(NamedTuple):
    """A preset with the task that it is shown with.

    Args:
        space: The space's name.
        preset: The preset's.
        summary: One line.
        inputs: What the networks take.
        input_size: Height and width of images, or tokens of a text.
        in_channels: Channels, or the size of the vocabulary.
    """

    space: str
    preset: str
    summary: str
    inputs: Literal["images", "tokens"]
    input_size: int
    in_channels: int


def spaces(
    input_size: Annotated[
        int | None,
        typer.Option("--input-size", min=1, help="Fit presets for images to images of N x N; default: their own."),
    ] = None,
    in_channels: Annotated[int, typer.Option("--in-channels", min=1, help="Channels of the images.")] = IMAGE_CHANNELS,
    classes: Annotated[int, typer.Option("--classes", min=2, help="Number of classes.")] = 10,
    as_json: Json = False,
    seed: Seed = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """List the search spaces: presets, exact sizes, choices, and the range of costs."""
    rows, refused = list[dict[str, Any]](), list[str]()
    for listed in presets():
        if listed.inputs == "images":
            listed = listed._replace(input_size=input_size or listed.input_size, in_channels=in_channels)
        try:
            rows.append(describe(listed, classes))
        except UsageError as error:
            refused.append(f"{listed.space} --preset {listed.preset} is left out: {error}")
    if not any(row["inputs"] == "images" for row in rows):
        raise UsageError(refused[0])
    for reason in refused:
        say(reason)
    emit({"spaces": rows}, as_json=as_json, human=[text(row) for row in rows])


def presets() -> list[Listed]:
    """Every preset of every space, at its own input size."""
    from nas.search_spaces.cells import nasbench201
    from nas.search_spaces.mobilenet import presets as mobilenet_presets
    from nas.search_spaces.transformers import flexibert

    return [
        *(Listed("mobilenet", name, p.summary, "images", p.input_size, IMAGE_CHANNELS)
          for name, p in mobilenet_presets.PRESETS.items()),
        *(Listed("nasbench201", name, p.summary, "images", p.input_size, IMAGE_CHANNELS)
          for name, p in nasbench201.PRESETS.items()),
        *(Listed("flexibert", name, p.summary, "tokens", p.input_size, p.in_channels)
          for name, p in flexibert.PRESETS.items()),
    ]  # fmt: skip


def describe(listed: Listed, classes: int) -> dict[str, Any]:
    """One preset as a document; `size` is an exact integer."""
    from nas.search_spaces import get

    space = get(
        listed.space, input_size=listed.input_size, in_channels=listed.in_channels, num_classes=classes,
        preset=listed.preset,
    )  # fmt: skip
    return {
        "space": listed.space,
        "preset": listed.preset,
        "summary": listed.summary,
        "inputs": listed.inputs,
        "input_size": listed.input_size,
        "in_channels": listed.in_channels,
        "num_classes": classes,
        "size": space.size,
        "params": list(space.cost_range("params")),
        "macs": list(space.cost_range("macs")),
        "choices": choices(space),
        "kinds": {gene.name: gene.kind for gene in space.genes},
    }


def choices(space: SearchSpace) -> dict[str, list[Any]]:
    """The choices of every gene."""
    return {gene.name: list(gene.choices) for gene in space.genes}


def text(row: dict[str, Any]) -> str:
    """A preset for people; genes with equal choices share a line, blocks beyond the first are counted, not listed."""
    from nas.search_spaces import COSTS

    lines = [
        f"{row['space']} --preset {row['preset']}: {row['summary']}",
        f"  {row['size']:,} architectures for {_task(row)} and {row['num_classes']} classes",
        "  " + ", ".join(f"{m.name} {m.text(row[m.name][0])} to {m.text(row[m.name][1])}" for m in COSTS),
    ]
    grouped: dict[str, list[str]] = {}
    for gene, values in row["choices"].items():
        grouped.setdefault(f"{row['kinds'][gene]} {{{', '.join(map(str, values))}}}", []).append(gene)
    lines += [f"  {label}: {_genes(names)}" for label, names in grouped.items()]
    return "\n".join(lines) + "\n"


def _task(row: dict[str, Any]) -> str:
    size, channels = row["input_size"], row["in_channels"]
    if row["inputs"] == "tokens":
        return f"{size} tokens of {channels:,} words"
    return f"{size}x{size} images of {channels} channels"


def _genes(names: list[str]) -> str:
    if len(names) == 1:
        return "one gene"
    parts = sorted({name.partition(".")[0] for name in names})
    return f"{len(names)} genes in {', '.join(parts)}"
