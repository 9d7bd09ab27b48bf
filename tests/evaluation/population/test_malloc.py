"""The allocator's setting, seen from outside: page faults of a process that makes and frees a big tensor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nas.evaluation.population.malloc import HeapLimit

SCRIPT = """
import resource, sys
import numpy as np
from nas.evaluation.population.malloc import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    np.ones(48 * 2**20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(48 * 2**20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is on Linux only")
def test_kept_memory_costs_no_page_faults() -> None:
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "default")
    )
    assert kept < returned / 10


def test_memory_that_others_hold_is_not_asked_for_again_and_again() -> None:
    used, trims = [1000], list[int]()
    limit = HeapLimit(100, resident=lambda: used[0], trim=lambda: trims.append(used[0]))
    trims.clear()
    for now, expected in ((1100, []), (2000, [2000]), (2000, [2000]), (2050, [2000]), (3000, [2000, 3000])):
        used[0] = now
        limit.check()
        assert trims == expected


FREED = """
from nas.evaluation.population.malloc import HeapLimit, keep_freed_memory, resident
assert keep_freed_memory()
spare = [bytearray(100_000) for _ in range(3000)]
del spare
before = resident()
limit = HeapLimit(100 * 2**20)
print(before, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is on Linux only")
def test_free_memory_is_not_taken_for_what_others_need() -> None:
    """Or a process that has freed much could grow by it beyond its limit."""
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before - 200_000_000
