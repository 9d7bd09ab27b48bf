"""Supernets on disk: whole, damaged, and foreign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nas.errors import CheckpointError, UnknownName, UsageError
from nas.files import file_digest
from nas.search_spaces import FAMILIES, get
from nas.supernets import build, check_shared, load, rebuild, save
from nas.supernets.storage import DOCUMENT, WEIGHTS
from tests.images import stripes
from tests.supernets.test_training import supernet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, supernet(), preprocessing=stripes(96).preprocessing, recipe={"rule": "bignas"})
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    document = json.loads((folder / DOCUMENT).read_text()) | changes
    (folder / DOCUMENT).write_text(json.dumps(document))


def test_what_is_saved_is_loaded(folder: Path) -> None:
    stored, fresh = load(folder), supernet()
    assert stored.recipe == {"rule": "bignas"}
    for name, value in fresh.state_dict().items():
        assert torch.equal(stored.supernet.state_dict()[name], value)


def test_a_tensor_that_does_not_fit_is_named(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["classifier.bias"] = tensors["classifier.bias"][:1].clone()
    save_file(tensors, folder / WEIGHTS)
    rewrite(folder, weights=file_digest(folder / WEIGHTS))
    with pytest.raises(CheckpointError, match=r"tensor 'classifier.bias' has shape \(1,\), expected \(\d,\)"):
        load(folder)
    del tensors["classifier.bias"]
    save_file(tensors, folder / WEIGHTS)
    rewrite(folder, weights=file_digest(folder / WEIGHTS))
    with pytest.raises(CheckpointError, match=r"tensor 'classifier.bias' has shape None"):
        load(folder)


def test_a_recipe_that_is_no_object_is_refused(folder: Path) -> None:
    rewrite(folder, recipe=[1, 2])
    with pytest.raises(CheckpointError, match="'recipe' must be an object, got list"):
        load(folder)


def test_missing_truncated_and_foreign_files(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])
    with pytest.raises(CheckpointError, match="truncated or changed"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="weights are missing"):
        load(folder)
    (folder / DOCUMENT).write_text("[]")
    with pytest.raises(CheckpointError, match="not a supernet's description"):
        load(folder)
    (folder / DOCUMENT).write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        load(folder)
    (folder / DOCUMENT).unlink()
    with pytest.raises(CheckpointError, match="no supernet here"):
        load(folder)


def test_a_description_rebuilds_the_modules(folder: Path) -> None:
    described = json.loads(json.dumps(supernet().describe()))
    assert rebuild(described).state_dict().keys() == supernet().state_dict().keys()
    with pytest.raises(UnknownName, match="Did you mean 'mobilenet'"):
        rebuild({**described, "kind": "mobilnet"})
    rewrite(folder, kind="mobilnet")
    with pytest.raises(CheckpointError, match=r"not a supernet of this version.*'mobilnet'"):
        load(folder)


@pytest.mark.parametrize("name", [name for name, known in FAMILIES.items() if known.supernet is None])
def test_spaces_without_shared_weights_say_what_to_do(name: str) -> None:
    for attempt in (lambda space: build(space, seed=0), lambda space: check_shared(space.name)):
        with pytest.raises(UsageError, match=f"space '{name}' has stand-alone networks only.*--objective gradsign"):
            attempt(get(name))
    check_shared(supernet().space.name)
