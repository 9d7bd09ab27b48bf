from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import CheckpointError
from nas.training.checkpoint import check_same


def test_other_settings_are_named(tmp_path: Path) -> None:
    check_same(tmp_path, {"rule": "ofa"}, {"rule": "ofa", "more": 1})
    with pytest.raises(CheckpointError, match=r"epochs=3, now it is 4"):
        check_same(tmp_path, {"rule": "ofa", "epochs": 4}, {"rule": "ofa", "epochs": 3})
