from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nas.errors import DataError
from nas.evaluation.tabular.flexibert import TASKS, flexibert_table
from nas.search_spaces import FlexiBertSpace, get
from nas.task import TextClassification

FOLDER = os.environ.get("NAS_DATA_DIR")
TABLE = "nas/flexibert_250.json"
real = pytest.mark.skipif(
    FOLDER is None or not (Path(FOLDER) / TABLE).exists(), reason=f"needs NAS_DATA_DIR with {TABLE}"
)


def space() -> FlexiBertSpace:
    made = get("flexibert", task=TextClassification(128, 30_522, 2))
    assert isinstance(made, FlexiBertSpace)
    return made


LAYER = {
    "operation_type": "DSC", "operation_parameter": 9, "num_operation_heads": 4, "feed_forward_dimension": 1024,
    "num_feed_forward": 3,
}  # fmt: skip


def row(glue: object = 70.0, layers: object = (LAYER, LAYER), hidden: object = 128, **scores: object) -> dict[str, Any]:
    return {
        "scores": {**dict.fromkeys(TASKS, 50.0), "glue": glue} | scores,
        "hparams": {"model_hparam_overrides": {"hidden_size": hidden, "nas_config": {"encoder_layers": layers}}},
    }


def written(folder: Path, document: object) -> Path:
    path = folder / "table.json"
    path.write_text(json.dumps(document))
    return path


def test_scores_are_fractions_and_genes_are_translated(tmp_path: Path) -> None:
    attention = {**LAYER, "operation_type": "SA", "operation_parameter": "WMA", "num_operation_heads": 2}
    found = flexibert_table(space(), written(tmp_path, [row(layers=[LAYER, attention], cola=-2.0)]))
    ((arch, metrics),) = found.items()
    assert arch.genes == {
        "hidden": 128, "depth": 2,
        "layer0.operation": "conv9", "layer0.heads": 4, "layer0.width": 1024, "layer0.stack": 3,
        "layer1.operation": "wma", "layer1.heads": 2, "layer1.width": 1024, "layer1.stack": 3,
    }  # fmt: skip
    assert metrics == {"accuracy": 0.7, **{f"glue_{task}": 0.5 for task in TASKS}, "glue_cola": -0.02}


def test_an_encoder_that_was_trained_twice_has_its_mean(tmp_path: Path) -> None:
    found = flexibert_table(space(), written(tmp_path, [row(60.0), row(hidden=256), row(70.0, cola=40.0)]))
    assert len(found) == 2
    metrics = next(iter(found.values()))
    assert (metrics["accuracy"], metrics["glue_cola"]) == (pytest.approx(0.65), pytest.approx(0.45))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in LAYER.items() if key != name}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "a table of encoders is a list, this is dict"),
        ([3], "entry 0 has no field 'hparams'"),
        ([row(), {"hparams": {}}], "entry 1 has no field 'model_hparam_overrides'"),
        ([{"hparams": row()["hparams"]}], "entry 0 has no field 'scores'"),
        ([row(layers=[LAYER, without("num_feed_forward")])], "entry 0 has no field 'num_feed_forward'"),
        ([row(layers=[LAYER, without("operation_type")])], "entry 0 has no field 'operation_type'"),
        ([row(layers=3)], "'encoder_layers' is a list, this is int"),
        ([row(layers=[LAYER, {**LAYER, "operation_parameter": 7}])], r"layer 1 has operation \('DSC', 7\)"),
        ([row(layers=[LAYER, {**LAYER, "operation_parameter": [9]}])], r"layer 1 has operation \('DSC', \[9\]\)"),
        ([row(layers=[LAYER] * 3)], "not of this space: gene 'depth' is 3; choose one of"),
        ([row(layers=[LAYER] * 5)], "not of this space: unknown gene of space 'flexibert' 'layer4.operation'"),
        ([row(layers=[LAYER, {**LAYER, "feed_forward_dimension": 100}])], "'layer1.width' is 100; choose one of"),
        ([row(hidden=512)], "gene 'hidden' is 512; choose one of"),
        ([row(hidden=[128])], r"gene 'hidden' is \[128\]; choose one of"),
        ([row(glue="good")], "the score 'glue' is 'good', not a number"),
        ([row(glue=None)], "the score 'glue' is None, not a number"),
        ([row(sts=float("nan"))], "the score 'sts' is nan, not a number"),
        ([row(sts=True)], "the score 'sts' is True, not a number"),
    ],
)
def test_damaged_files(tmp_path: Path, document: object, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        flexibert_table(space(), written(tmp_path, document))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"'gone\.json' does not exist"):
        flexibert_table(space(), Path("gone.json"))


@real
def test_all_encoders_belong_to_the_space() -> None:
    found = flexibert_table(space(), Path(TABLE))
    assert len(found) == 248  # of 250 trainings, two encoders were trained twice
    assert all(arch in space() for arch in found)
    for metrics in found.values():
        mean = sum(metrics[f"glue_{task}"] for task in TASKS) / len(TASKS)
        assert metrics["accuracy"] == pytest.approx(mean)
        assert 0.5 < metrics["accuracy"] < 0.8
