from __future__ import annotations

from dataclasses import fields

import pytest

from nas.errors import UnknownName
from nas.search_spaces import FAMILIES, SearchSpace, family, from_json, get, resolve

NAMES = [
    (kind, role, getattr(known, role))
    for kind, known in FAMILIES.items()
    for role in (field.name for field in fields(known))
    if getattr(known, role) is not None
]


@pytest.mark.parametrize(("kind", "role", "name"), NAMES)
def test_every_name_is_there(kind: str, role: str, name: str) -> None:
    found = resolve(name)
    assert role == "presets" or callable(found)


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_preset_is_a_space_of_its_kind(kind: str) -> None:
    for name, preset in resolve(FAMILIES[kind].presets).items():
        space = get(kind, task=preset.task, preset=name)
        assert isinstance(space, SearchSpace)
        assert (space.name, space.preset, space.task) == (kind, name, preset.task)
        assert from_json(space.to_json()).digest == space.digest
        assert preset.summary


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mobilenet'"):
        family("mobilnet")
