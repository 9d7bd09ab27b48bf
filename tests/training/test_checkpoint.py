from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from nas.errors import CheckpointError
from nas.training import checkpoint


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "training.pt"
    checkpoint.write(path, {"step": 3, "network": {"w": torch.arange(3)}})
    state = checkpoint.read(path)
    assert state["step"] == 3
    assert torch.equal(state["network"]["w"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["training.pt"]


def test_missing_truncated_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.read(path)
    checkpoint.write(path, {"network": {"w": torch.zeros(1000)}})
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a readable checkpoint"):
            checkpoint.read(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("evil", "w"))


def test_no_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Evil()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"step": Evil()}, protocol=2))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(CheckpointError):
            checkpoint.read(tmp_path / name)
    assert not (tmp_path / "evil").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "training.pt"
    checkpoint.write(path, {"step": 1})

    def torn(state: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.write(path, {"step": 2})
    monkeypatch.undo()
    assert checkpoint.read(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["training.pt"]


def test_other_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"epochs=3, now it is 4"):
        checkpoint.check_same(tmp_path, {"rule": "ofa", "epochs": 4}, {"rule": "ofa", "epochs": 3})
