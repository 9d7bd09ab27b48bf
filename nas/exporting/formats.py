"""Formats that run where `nas` is not installed: `.pt2` for torch, `.onnx` for any ONNX runtime."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.exporting.deployed import Deployed
from nas.extras import ONNX, require

METADATA = "nas.json"  # name of the description inside a .pt2


def _example(deployed: Deployed) -> Tensor:
    return deployed.preprocessing.example(2, generator=torch.Generator().manual_seed(0))


def write_pt2(deployed: Deployed, path: Path) -> None:
    """Write a `torch.export` program with a dynamic batch; `torch.export.load(path).module()(images)` runs it."""
    batch = {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(deployed, (_example(deployed),), dynamic_shapes={"inputs": batch})
    torch.export.save(program, path, extra_files={METADATA: json.dumps(deployed.describe())})


def run_pt2(path: Path, inputs: Tensor) -> Tensor:
    """Logits [B, K] of a `.pt2` that this process has just written."""
    logits: Tensor = torch.export.load(path).module()(inputs)
    return logits


def write_onnx(deployed: Deployed, path: Path) -> None:
    """Write one ONNX file with a dynamic batch and the description as metadata.

    Its input is called what it is, such as "images", its output "logits".

    Raises:
        MissingPackage: `onnx`, or `onnxscript`, which torch's exporter needs, is not installed.
    """
    require(ONNX, purpose="ONNX export")
    import onnx

    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            deployed,
            (_example(deployed),),
            dynamo=True,
            verbose=False,
            input_names=[deployed.preprocessing.kind],
            output_names=["logits"],
            dynamic_shapes={"inputs": {0: torch.export.Dim("batch", min=1)}},
        )
    assert program is not None
    model = program.model_proto
    for name, value in deployed.describe().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = name, value if isinstance(value, str) else json.dumps(value)
    onnx.checker.check_model(model)
    onnx.save_model(model, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on its progress."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def run_onnx(path: Path, inputs: Tensor) -> Tensor:
    """Logits [B, K] of an ONNX file, by onnxruntime where it is installed, else by ONNX's reference."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        reference = ReferenceEvaluator(str(path))
        outputs: Any = reference.run(None, {reference.input_names[0]: inputs.numpy()})
        return torch.from_numpy(np.asarray(outputs[0]))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: inputs.numpy()})[0])
