from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import DataError, UsageError
from nas.evaluation.tabular.registry import default_table, read_table
from nas.search_spaces import get
from nas.task import ImageClassification

CIFAR = ImageClassification(32, 3, 10)
HEADER = "idx,ops,c10_val_200ep,c10_test_200ep\n"


def test_a_table_of_another_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER)
    space = get("nasbench201", task=ImageClassification(8, 1, 10), preset="tiny")
    with pytest.raises(UsageError, match="CIFAR-10"):
        read_table(space, tmp_path / "t.csv")


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER)
    with pytest.raises(DataError, match="no row"):
        read_table(get("nasbench201", task=CIFAR), tmp_path / "t.csv")


def test_a_table_is_found_for_its_own_networks_and_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "nb201_full.csv.xz").write_bytes(b"")
    monkeypatch.setenv("NAS_DATA_DIR", str(tmp_path))
    space, tiny = get("nasbench201", task=CIFAR), get("nasbench201", task=CIFAR, preset="tiny")
    assert default_table(space, "cifar10:images.tar") == Path("nas/nb201_full.csv.xz")
    assert default_table(space, "npz:svhn.npz") is None
    assert default_table(tiny, "cifar10:images.tar") is None
    monkeypatch.delenv("NAS_DATA_DIR")
    assert default_table(space, "cifar10:images.tar") is None
