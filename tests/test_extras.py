from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import nas
from nas import extras
from nas.errors import MissingPackage

EXTRAS = tomllib.loads((Path(nas.__file__).parent.parent / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@pytest.mark.parametrize("extra", extras.PACKAGES)
def test_every_package_is_in_its_extra_and_that_in_all(extra: str) -> None:
    assert all(any(line.startswith(package) for line in EXTRAS[extra]) for package in extras.PACKAGES[extra])
    assert extra in EXTRAS["all"][0]


def test_what_is_missing_is_named_with_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.PACKAGES, "text", ("a_package_that_nobody_has",))
    with pytest.raises(MissingPackage, match=r"reading texts needs a_package.*pip install 'elastic-nas\[text\]'"):
        extras.require("text", purpose="reading texts")


def test_nothing_is_loaded_to_find_out() -> None:
    before = "ray" in sys.modules
    extras.require("ray", purpose="a pool")
    assert ("ray" in sys.modules) == before
