from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nas.evaluation.population.memory_budget import GIB, available, cpu_budget, cuda_budget, default_budget

LINUX = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs /proc")
MEASURE = """
import ctypes, sys
import numpy as np, torch
from nas import search_spaces
from nas.evaluation import SupernetEvaluator
from nas.evaluation.population.memory_budget import partition
from nas.supernets import MobileNetSupernet
from nas.task import ImageClassification
from tests.images import stripes

budget, *sizes = map(int, sys.argv[1:])
data = stripes(1000, size=32)
supernet = MobileNetSupernet(search_spaces.get("mobilenet", task=data.task, preset="small"), seed=0)
space = supernet.space
evaluator = SupernetEvaluator(supernet, data, budget_bytes=budget)
rows = space.sample_choices(np.random.default_rng(0), sum(sizes))
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")
memory = lambda name: 1024 * int(open("/proc/self/status").read().split(name + ":")[1].split()[0])
before = memory("VmRSS")
for size in sizes:
    evaluator.evaluate(space.architectures(rows[:size]))
    rows = rows[size:]
print(memory("VmHWM") - before, partition(supernet, budget, 250, 250)[1].cache)
"""


@LINUX
def test_peak_memory_stays_inside_the_budget_whatever_the_populations_size() -> None:
    budget = 800 * 2**20
    for sizes in (["60"], ["10", "30", "80"]):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(budget), *sizes], capture_output=True, text=True, check=True
        )
        peak, cache = map(int, done.stdout.split())
        assert cache > 64 * 2**20
        assert cache / 2 < peak <= 1.1 * budget


def test_a_default_is_half_of_what_is_free_inside_bounds() -> None:
    for free, share, expected in ((6, 1.0, 3), (6, 0.5, 1.5), (100, 1.0, 4), (1, 1.0, 1)):
        assert cpu_budget(free * GIB, share) == expected * GIB
    for there, share, expected in ((80, 1.0, 8), (80, 0.25, 8), (16, 0.25, 2)):
        assert cuda_budget(there * GIB, share) == expected * GIB


@LINUX
def test_free_memory_is_known_here() -> None:
    assert 2**20 < available() < 2**50
    assert default_budget("cpu") >= GIB
