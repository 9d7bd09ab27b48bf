from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from nas.search_spaces import Architecture

ARCH = Architecture("toy", ("width", "kernel", "kind"), (8, None, "max"))


def test_absent_genes_do_not_exist() -> None:
    assert ARCH.genes == {"width": 8, "kind": "max"}
    assert ARCH["kind"] == "max"
    for name in ("kernel", "depth"):
        with pytest.raises(KeyError, match=name):
            ARCH[name]


def test_it_is_a_value() -> None:
    same = Architecture("toy", ("width", "kernel", "kind"), (8, None, "max"))
    assert same == ARCH
    assert len({same, ARCH}) == 1
    assert dataclasses.replace(ARCH, values=(8, 3, "max")) != ARCH
    assert dataclasses.replace(ARCH, space="other") != ARCH
    with pytest.raises(dataclasses.FrozenInstanceError):
        ARCH.space = "other"  # type: ignore[misc]


def test_the_digest_is_pinned() -> None:
    assert ARCH.to_json() == {"space": "toy", "genes": {"width": 8, "kind": "max"}}
    assert ARCH.digest == "a2824c7a9bc5120a"


def test_the_digest_is_the_same_in_another_process() -> None:
    code = (
        "from nas.search_spaces import Architecture;"
        "print(Architecture('toy', ('width', 'kernel', 'kind'), (8, None, 'max')).digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ARCH.digest
