"""Sub-networks as plain checkpoints; every export proves that it computes the supernet's logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data import Preprocessing
from nas.errors import ExportError, UnknownName
from nas.exporting import folder, formats
from nas.exporting.deployed import Deployed
from nas.exporting.folder import load
from nas.extras import ONNX, require
from nas.files import replacing, replacing_folder
from nas.search_spaces import Architecture
from nas.supernets import Statistics, Supernet, rebuild
from nas.supernets.steps import Context, by_statistics, composed

__all__ = ["FORMATS", "Deployed", "check_format", "export", "export_network", "load"]

FORMATS = ("safetensors", "pt2", "onnx")
BATCHES = (1, 5)  # sizes that a finished export is run with
TOLERANCE = 1e-4  # greatest difference of a logit, relative to the greatest logit or 1


def export(
    supernet: Supernet,
    arch: Architecture,
    path: Path | str,
    *,
    format: str,
    statistics: Statistics,
    preprocessing: Preprocessing,
    metrics: dict[str, float] | None = None,
) -> Path:
    """Write one sub-network with its inherited weights.

    Args:
        supernet: The shared weights.
        arch: Which member.
        path: A folder for "safetensors", a file for "pt2" and "onnx".
        format: One of `FORMATS`.
        statistics: Batch-norm statistics of `arch`, from `calibrate`.
        preprocessing: From inputs as people have them to the network's, and class names; travels with every format.
        metrics: Figures that travel too.

    Returns:
        The path.

    Raises:
        UnknownName: No such format.
        UsageError: `arch` or `preprocessing` is not of the supernet's space.
        ExportError: The written network's logits differ from the supernet's; nothing is left behind.
        WriteError: Nothing can be written there, or it holds something else.
    """
    deployed = Deployed(supernet.extract(arch, statistics).cpu(), arch, supernet.space, preprocessing, metrics)
    by_steps = preprocessing.deployed(_BySteps(_on_cpu(supernet), arch, statistics.to("cpu")))

    @torch.no_grad()
    def reference(inputs: Tensor) -> Tensor:
        logits: Tensor = by_steps(inputs)
        return logits

    return _export(deployed, Path(path), format, reference)


class _BySteps(nn.Module):
    """A sub-network run by the supernet's own steps."""

    def __init__(self, supernet: Supernet, arch: Architecture, statistics: Statistics) -> None:
        super().__init__()
        self._steps, self._statistics = supernet.steps(arch), statistics

    def forward(self, x: Tensor) -> Tensor:
        """Network inputs to logits."""
        return composed(self._steps, x, Context(by_statistics(self._statistics)))


def _on_cpu(supernet: Supernet) -> Supernet:
    """The same weights on the CPU, where written networks are run: on CUDA, TF32 alone would exceed the tolerance."""
    if next(supernet.parameters()).device.type == "cpu":
        return supernet
    twin = rebuild(supernet.describe())
    twin.load_state_dict(supernet.state_dict())
    return twin


def export_network(deployed: Deployed, path: Path | str, *, format: str) -> Path:
    """Write a network that was loaded or fine-tuned, in any format; like `export`, checked against its own logits."""

    @torch.no_grad()
    def reference(inputs: Tensor) -> Tensor:
        logits: Tensor = deployed(inputs)
        return logits

    return _export(deployed, Path(path), format, reference)


def check_format(format: str) -> None:
    """Refuse a format before anything is done for it.

    Raises:
        UnknownName: No such format.
        MissingPackage: Something that it needs is not installed.
    """
    if format not in FORMATS:
        raise UnknownName("export format", format, FORMATS)
    if format == "onnx":
        require(ONNX, purpose="ONNX export")


def _export(deployed: Deployed, path: Path, format: str, reference: Callable[[Tensor], Tensor]) -> Path:
    check_format(format)
    if format != "safetensors" and path.is_dir():
        raise ExportError(f"{path}: is a folder; give the path of a file for format {format!r}")
    if format == "safetensors":
        with replacing_folder(path, own=folder.FILES) as temporary:
            folder.write(deployed, temporary)
            _verify(lambda inputs: folder.load(temporary)(inputs), reference, deployed, path)
        return path
    write, run = {
        "pt2": (formats.write_pt2, formats.run_pt2),
        "onnx": (formats.write_onnx, formats.run_onnx),
    }[format]
    with replacing(path, suffix=f".{format}") as temporary:
        write(deployed, temporary)
        _verify(lambda inputs: run(temporary, inputs), reference, deployed, path)
    return path


@torch.no_grad()
def _verify(
    written: Callable[[Tensor], Tensor], reference: Callable[[Tensor], Tensor], deployed: Deployed, path: Path
) -> None:
    """Run what was written on made-up inputs in several batch sizes.

    Raises:
        ExportError: Its logits differ from the reference.
    """
    generator = torch.Generator().manual_seed(0)
    for batch in BATCHES:
        inputs = deployed.preprocessing.example(batch, generator=generator)
        expected = reference(inputs)
        found = written(inputs)
        difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
        if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ExportError(
                f"{path}: the exported network's logits differ from the supernet's by {difference:.3g} "
                f"at batch {batch}; nothing was written"
            )
