"""Law 7: every format gives the supernet's logits, those that promise it in a process without `nas`."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas import exporting
from nas.data import ImagePreprocessing
from nas.errors import CheckpointError, ExportError, UnknownName, UsageError, WriteError
from nas.search_spaces import Architecture, get
from nas.supernets import MobileNetSupernet, Statistics, Supernet, calibrate
from nas.task import ImageClassification
from nas.testing.subnetworks import randomise
from tests.spaces import SPACES

PREPROCESSING = ImagePreprocessing(8, 3, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), ("ant", "bee", "cat", "dog", "elk"))


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    supernet = MobileNetSupernet(SPACES["crop"], seed=0)
    randomise(supernet)
    return supernet


@pytest.fixture(scope="module")
def arch(supernet: Supernet) -> Architecture:
    """A member whose resolution is not the input's, so that resizing is exported too."""
    drawn = supernet.space.architectures(supernet.space.sample_choices(np.random.default_rng(1), 50))
    return next(a for a in drawn if a["resolution"] == 6)


@pytest.fixture(scope="module")
def statistics(supernet: Supernet, arch: Architecture) -> Statistics:
    return calibrate(supernet, [arch], torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)))[0]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def expected(supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (PREPROCESSING.mean, PREPROCESSING.std))
    with torch.no_grad():
        return supernet.eval()((images - mean) / std, arch, statistics=statistics)


def export(supernet: Supernet, arch: Architecture, statistics: Statistics, path: Path, format: str) -> Path:
    return exporting.export(
        supernet, arch, path, format=format, statistics=statistics, preprocessing=PREPROCESSING,
        metrics={"accuracy": 0.5},
    )  # fmt: skip


def test_folder(
    supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor, expected: Tensor, tmp_path: Path
) -> None:
    path = export(supernet, arch, statistics, tmp_path / "net", "safetensors")
    network = exporting.load(path)
    assert not network.training
    assert network.class_names == PREPROCESSING.class_names
    assert network.preprocessing.task.size == 8
    assert network.arch == arch
    assert network.metrics == {"accuracy": 0.5}
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["architecture.json", "model.safetensors", "net"]
    export(supernet, arch, statistics, path, "safetensors")  # replaces its own kind
    assert exporting.load(path / "architecture.json").arch == arch


def test_a_loaded_network_refuses_what_it_would_misread(
    supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor, tmp_path: Path
) -> None:
    network = exporting.load(export(supernet, arch, statistics, tmp_path / "net", "safetensors"))
    with pytest.raises(UsageError, match=r"floats in 0\.\.1, got torch\.uint8; divide"):
        network((images * 255).to(torch.uint8))
    for wrong in (images[0], images[:, :1], images[..., :7]):
        with pytest.raises(UsageError, match=r"images must be \[batch, 3, 8, 8\], got"):
            network(wrong)


def test_everyone_who_may_read_the_description_may_read_the_weights(
    supernet: Supernet, arch: Architecture, statistics: Statistics, tmp_path: Path
) -> None:
    path = export(supernet, arch, statistics, tmp_path / "net", "safetensors")
    modes = {file.stat().st_mode for file in path.iterdir()}
    assert len(modes) == 1


RUN_PT2 = """
import sys, json, torch
sys.modules["nas"] = None  # importing it fails
files = {"nas.json": ""}
program = torch.export.load(sys.argv[1], extra_files=files)
images = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.save(program.module()(images), sys.argv[3])
print(json.dumps(json.loads(files["nas.json"])["preprocessing"]))
"""

RUN_ONNX = """
import sys, json, onnxruntime, numpy
sys.modules["nas"] = sys.modules["torch"] = None  # importing them fails
session = onnxruntime.InferenceSession(sys.argv[1])
images = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], session.run(["logits"], {"images": images})[0])
print(session.get_modelmeta().custom_metadata_map["preprocessing"])
"""


def run_without_nas(script: str, *files: Path, cwd: Path) -> dict[str, object]:
    command = [sys.executable, "-c", script, *map(str, files)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_pt2_runs_without_nas(
    supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor, expected: Tensor, tmp_path: Path
) -> None:
    path = export(supernet, arch, statistics, tmp_path / "net.pt2", "pt2")
    torch.save(images, tmp_path / "images.pt")
    told = run_without_nas(RUN_PT2, path, tmp_path / "images.pt", tmp_path / "out.pt", cwd=tmp_path)
    torch.testing.assert_close(torch.load(tmp_path / "out.pt", weights_only=True), expected, rtol=0, atol=1e-5)
    assert ImagePreprocessing.from_json(told) == PREPROCESSING


def test_onnx_runs_without_nas_and_torch(
    supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor, expected: Tensor, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    path = export(supernet, arch, statistics, tmp_path / "net.onnx", "onnx")
    np.save(tmp_path / "images.npy", images.numpy())
    told = run_without_nas(RUN_ONNX, path, tmp_path / "images.npy", tmp_path / "out.npy", cwd=tmp_path)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "out.npy")), expected, rtol=0, atol=1e-4)
    assert ImagePreprocessing.from_json(told) == PREPROCESSING
    assert not list(tmp_path.glob("*.data")), "one file"


@pytest.mark.parametrize("format", exporting.FORMATS)
def test_other_logits_are_refused_and_nothing_is_left(
    supernet: Supernet,
    arch: Architecture,
    statistics: Statistics,
    tmp_path: Path,
    format: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract = type(supernet).extract

    def off_by_a_little(self: Supernet, *arguments: object) -> torch.nn.Module:
        network = extract(self, *arguments)
        network.classifier.bias.data[0] += 0.01
        return network

    monkeypatch.setattr(type(supernet), "extract", off_by_a_little)
    with pytest.raises(ExportError, match=r"differ from the supernet's by 0\.0"):
        export(supernet, arch, statistics, tmp_path / "net", format)
    assert list(tmp_path.iterdir()) == []


def test_nothing_foreign_is_overwritten(
    supernet: Supernet, arch: Architecture, statistics: Statistics, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"x")
    with pytest.raises(WriteError, match="something else"):
        export(supernet, arch, statistics, tmp_path / "photos", "safetensors")
    with pytest.raises(ExportError, match="is a folder"):
        export(supernet, arch, statistics, tmp_path / "photos", "onnx")
    assert [p.name for p in tmp_path.rglob("*.*")] == ["me.jpg"]
    with pytest.raises(UnknownName, match="'onnx'"):
        export(supernet, arch, statistics, tmp_path / "net", "onx")


def test_missing_truncated_and_foreign_folders(
    supernet: Supernet, arch: Architecture, statistics: Statistics, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no exported network"):
        exporting.load(tmp_path)
    path = export(supernet, arch, statistics, tmp_path / "net", "safetensors")
    weights, document = path / "model.safetensors", path / "architecture.json"
    whole, text = weights.read_bytes(), document.read_text()
    weights.write_bytes(whole[:-10])
    with pytest.raises(CheckpointError, match="truncated"):
        exporting.load(path)
    weights.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        exporting.load(path)
    weights.write_bytes(whole)
    for broken, what in (("{", "not valid JSON"), ('{"format": "other"}', "not an exported network")):
        document.write_text(broken)
        with pytest.raises(CheckpointError, match=what):
            exporting.load(path)
    changed = json.loads(text)
    changed["architecture"]["genes"]["stage0.width"] = 99
    document.write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"stage0\.width"):
        exporting.load(path)


def test_preprocessing_of_another_task_is_refused(
    supernet: Supernet, arch: Architecture, statistics: Statistics, tmp_path: Path
) -> None:
    wrong = replace(PREPROCESSING, class_names=("ant", "bee"))
    with pytest.raises(UsageError, match="classes=5, but its data have 2"):
        exporting.export(
            supernet, arch, tmp_path / "net", format="safetensors", statistics=statistics, preprocessing=wrong
        )
    assert list(tmp_path.iterdir()) == []
    path = export(supernet, arch, statistics, tmp_path / "net", "safetensors") / "architecture.json"
    document = json.loads(path.read_text())
    document["preprocessing"]["class_names"] = ["ant", "bee"]
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="classes=5"):
        exporting.load(path)


def test_exporting_leaves_the_supernet_as_it_was(
    supernet: Supernet, arch: Architecture, statistics: Statistics, tmp_path: Path
) -> None:
    supernet.train()
    export(supernet, arch, statistics, tmp_path / "net", "safetensors")
    assert supernet.training


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_export_from_cuda_is_checked_on_the_cpu(
    supernet: Supernet, arch: Architecture, images: Tensor, tmp_path: Path
) -> None:
    """Convolutions in TF32, torch's default there, differ by more than an export may."""
    moved = copy.deepcopy(supernet).cuda()
    statistics = calibrate(moved, [arch], torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)))[0]
    export(moved, arch, statistics, tmp_path / "net", "safetensors")
    assert next(moved.parameters()).is_cuda
    assert exporting.load(tmp_path / "net")(images).shape == (3, 5)


def test_a_loaded_network_can_be_exported_again(
    supernet: Supernet, arch: Architecture, statistics: Statistics, images: Tensor, expected: Tensor, tmp_path: Path
) -> None:
    network = exporting.load(export(supernet, arch, statistics, tmp_path / "net", "safetensors"))
    exporting.export_network(network, tmp_path / "again", format="safetensors")
    with torch.no_grad():
        torch.testing.assert_close(exporting.load(tmp_path / "again")(images), expected, rtol=0, atol=1e-5)


def test_presets_export_with_mix_layer(tmp_path: Path) -> None:
    space = get("mobilenet", task=ImageClassification(32, 1, 3), preset="ofa")
    supernet = MobileNetSupernet(space, seed=0)
    smallest = space.smallest()
    statistics = calibrate(supernet, [smallest], torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    names = ImagePreprocessing(32, 1, (0.5,), (0.5,), ("a", "b", "c"))
    exporting.export(
        supernet, smallest, tmp_path / "net", format="safetensors", statistics=statistics[0], preprocessing=names
    )
    assert exporting.load(tmp_path / "net").class_names == ("a", "b", "c")
