"""GLUE scores of trained FlexiBERT encoders, from the JSON of Serianni and Kalita (2023)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from nas.errors import DataError, UsageError
from nas.evaluation.evaluator import Metrics
from nas.evaluation.tabular.evaluator import read_json
from nas.objectives import Metric
from nas.search_spaces import Architecture, FlexiBertSpace, Value

TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst", "sts")
GLUE = tuple(
    Metric(f"glue_{task}", "max", label=f"GLUE {task}", unit="%", factor=100.0, column=task, detail=True)
    for task in TASKS
)
_OPERATIONS: Mapping[tuple[str, Value], str] = {
    ("SA", "SDP"): "sdp", ("SA", "WMA"): "wma", ("LT", "DFT"): "dft", ("LT", "DCT"): "dct",
    ("DSC", 5): "conv5", ("DSC", 9): "conv9",
}  # fmt: skip
_LAYER = {"heads": "num_operation_heads", "width": "feed_forward_dimension", "stack": "num_feed_forward"}


def flexibert_table(space: FlexiBertSpace, path: Path) -> dict[Architecture, Metrics]:
    """Metrics by architecture: `accuracy`, the mean over the tasks, and `glue_cola` to `glue_sts`, all as fractions.

    CoLA's is a correlation that may be negative. An encoder that was trained more than once has its mean scores.

    Args:
        space: With the table's choices; of any vocabulary, length and classes.
        path: A JSON file, a list with one training each.

    Raises:
        DataError: The file is missing or damaged, or an encoder is not of the space.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path.name}: a table of encoders is a list, this is {type(rows).__name__}")
    trainings: dict[Architecture, list[Metrics]] = {}
    for number, row in enumerate(rows):
        at = f"{path.name}, entry {number}"
        trainings.setdefault(_encoder(space, row, at), []).append(_scores(row, at))
    return {arch: {name: fmean(run[name] for run in runs) for name in runs[0]} for arch, runs in trainings.items()}


def _encoder(space: FlexiBertSpace, row: Any, at: str) -> Architecture:
    chosen = _field(row, at, "hparams", "model_hparam_overrides")
    layers = _field(chosen, at, "nas_config", "encoder_layers")
    if not isinstance(layers, list):
        raise DataError(f"{at}: 'encoder_layers' is a list, this is {type(layers).__name__}")
    genes: dict[str, Value] = {"hidden": _field(chosen, at, "hidden_size"), "depth": len(layers)}
    for number, layer in enumerate(layers):
        kind = tuple(_field(layer, at, f"operation_{part}") for part in ("type", "parameter"))
        known = [name for key, name in _OPERATIONS.items() if key == kind]
        if not known:
            raise DataError(f"{at}: layer {number} has operation {kind}; known are {list(_OPERATIONS)}")
        genes[f"layer{number}.operation"] = known[0]
        genes |= {f"layer{number}.{gene}": _field(layer, at, name) for gene, name in _LAYER.items()}
    try:
        return space.from_genes(genes)
    except UsageError as error:
        raise DataError(f"{at} is not of this space: {error}") from None


def _scores(row: Any, at: str) -> Metrics:
    names = {"accuracy": "glue"} | {f"glue_{task}": task for task in TASKS}
    scores = {}
    for metric, name in names.items():
        value = _field(row, at, "scores", name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{at}: the score {name!r} is {value!r}, not a number")
        scores[metric] = value / 100
    return scores


def _field(value: Any, at: str, *names: str) -> Any:
    """What lies under these names, one inside the other."""
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise DataError(f"{at} has no field {name!r}")
        value = value[name]
    return value
