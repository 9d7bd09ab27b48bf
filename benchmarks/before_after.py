"""Speed of two checkouts, each by its own benchmarks, in turns: ratios after / before with a 90 % interval.

Each side runs in processes of its own, with its own checkout's `nas` and `benchmarks` (copied, so that no rows are
written there) and one thread. The order changes from repetition to repetition. A ratio is one of seconds, less is
better; the interval is Student's t on the logarithms of the ratios. The goal is an interval that ends below 1.05. Where
it is wider, `--repetitions 15` goes on from the repetitions that are there. Other loads on the machine widen it: then
`--clock cpu` counts what a side's process computes instead of what passes on the wall, but for `ray_pool`.

What was shortened, so that five repetitions take about 45 minutes on two idle cores (estimated, not measured):

* `population_evaluation`: side `all`. The supernet has seen 2,000 images once, not 20,000 four times; `random` has 60
  architectures, not 200; `evolution` has 4 generations of 40, not 20 of 50, recorded once by the side before and shown
  to both. Both jobs run in one process, which reads the images once. Accuracies are compared: `same_answers`.
* `overhead`: 5 rounds, not 9; one repetition of the script in each of ours. Also as multiples of the plain networks.
* `ray_pool`: its overhead as it is; one worker, and two, with 16 architectures, not 64.
* `proxy_speed`: our sides alone (the batched pass of GradSign, the eleven classic proxies together, streamed W-PCA), of
  3 networks and 4 encoders, not 5 and 5, W-PCA on 32 sequences, not 64.

    NAS_DATA_DIR=... python -m benchmarks.before_after --before ../before --after . --repetitions 5
    NAS_DATA_DIR=... python -m benchmarks.before_after --before ../before --after . --repetitions 15 --only ray_pool
    NAS_DATA_DIR=... python -m benchmarks.before_after --before ../before --after ../before --repetitions 2 --tiny
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import before_after_side, rows
from benchmarks.checkouts import Checkout, ProcessFailed, checkout, chosen

NAME = "before_after"
RUNS = f"{NAME}_runs"
GOAL = 1.05
SETTINGS = {
    "train_images": 2000, "random": 60, "generations": 4, "population": 40, "rounds": 5, "free_architectures": 800,
    "pool_architectures": 16, "networks": 3, "images": 64, "encoders": 4, "sequences": 32,
}  # fmt: skip
TINY = {
    "train_images": 256, "random": 4, "generations": 1, "population": 4, "rounds": 1, "free_architectures": 16,
    "pool_architectures": 2, "networks": 1, "images": 24, "encoders": 1, "sequences": 2,
}  # fmt: skip
PARTS = [name for name in before_after_side.PARTS if name != "prepare"]
# Keep freed memory, as the benchmark would otherwise start itself again to say.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
ENVIRONMENTS: dict[str, Mapping[str, str]] = {"overhead": ALLOCATOR}
SKIPPED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True, slots=True)
class Ratio:
    """after / before of one item over all repetitions; below 1 the side after is faster."""

    mean: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the interval ends below the goal."""
        return self.high < GOAL


def interval(ratios: Sequence[float], level: float = 0.9) -> Ratio:
    """Geometric mean and its interval by Student's t on logarithms; without end where there is one ratio only."""
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    mean, n = float(logs.mean()), len(logs)
    if n < 2:
        return Ratio(math.exp(mean), 0.0, math.inf)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * logs.std(ddof=1) / math.sqrt(n))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


@dataclass(frozen=True, slots=True)
class Sides:
    """Copies of both checkouts to run in, and what identifies what they hold.

    Args:
        before, after: The copies.
        codes: Of the originals' sources.
    """

    before: Checkout
    after: Checkout
    codes: tuple[str, str]

    @classmethod
    def copied(cls, before: Checkout, after: Checkout, folder: Path) -> Sides:
        """Copies of what is measured, with this project's own driver for one side."""
        copies = []
        for name, of in (("before", before), ("after", after)):
            for part in ("nas", "benchmarks"):
                shutil.copytree(of.path / part, folder / name / part, ignore=SKIPPED)
            shutil.copy(Path(before_after_side.__file__), folder / name / "benchmarks")
            (folder / name / "results").mkdir()
            copies.append(replace(of, path=folder / name))
            copies[-1].check(folder)
        return cls(copies[0], copies[1], (before.code(), after.code()))

    @property
    def fixed(self) -> bool:
        """Whether both are as committed, so that rows of theirs may be used again."""
        return not any(code.endswith("-dirty") or code == rows.UNKNOWN for code in self.codes)

    def prepare(self, settings: Mapping[str, int]) -> None:
        """Supernets of both, and the job that is recorded once."""
        run(self.before, "prepare", settings)
        kept = Path("build") / "population_evaluation"
        (self.after.path / kept).mkdir(parents=True)
        shutil.copy(self.before.path / kept / "evolution.json", self.after.path / kept)
        run(self.after, "prepare", settings)


def run(of: Checkout, part: str, settings: Mapping[str, int]) -> dict[str, Any]:
    """One part of one side in a process of its own."""
    there = replace(of, environment=ENVIRONMENTS.get(part, {}))
    printed = there.python("-m", "benchmarks.before_after_side", part, json.dumps(settings), cwd=of.path)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def pair(sides: Sides, part: str, repetition: int, settings: Mapping[str, int]) -> dict[str, Any]:
    """Both sides, one after the other, the order by the repetition."""
    these = {**settings, "repetition": repetition}
    turns = [("before", sides.before), ("after", sides.after)]
    found: dict[str, Any] = {
        name: run(of, part, these) for name, of in (turns if repetition % 2 == 0 else reversed(turns))
    }
    answers = [found[name].pop("answers", None) for name in ("before", "after")]
    found["load_average"] = os.getloadavg()[1]  # of the last five minutes, to tell a quiet machine from a busy one
    return found | ({} if answers[0] is None else {"same_answers": answers[0] == answers[1]})


def measured(
    sides: Sides, parts: Sequence[str], repetitions: int, settings: Mapping[str, int], *, keep: bool
) -> dict[str, list[dict[str, Any]]]:
    """All repetitions of these parts; those that rows have are not run again."""
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    prepared = False
    for repetition in range(repetitions):
        for part in parts:
            key = {
                "part": part, "repetition": repetition, "before": sides.codes[0], "after": sides.codes[1],
                "settings": dict(settings),
            }  # fmt: skip
            values = rows.finished(RUNS, key) if keep and sides.fixed else None
            if values is None:
                if part == "population_evaluation" and not prepared:
                    sides.prepare(settings)
                    prepared = True
                began = time.perf_counter()
                values = pair(sides, part, repetition, settings)
                print(f"{part}, repetition {repetition}: {time.perf_counter() - began:.0f} s", flush=True)
                if keep:
                    rows.append(RUNS, key, values)
            found[part].append(values)
    return found


def summarised(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Of each item: its ratios, their mean and interval, whether the goal is met, and the seconds of both sides."""
    summary: dict[str, dict[str, Any]] = {}
    for pairs in found.values():
        for item in pairs[0]["before"] if pairs else ():
            before, after = ([values[side][item] for values in pairs] for side in ("before", "after"))
            ratios = [new / old for old, new in zip(before, after, strict=True)]
            over = interval(ratios)
            summary[item] = {
                "ratio": over.mean, "low": over.low, "high": None if math.isinf(over.high) else over.high,
                "met": over.met, "ratios": ratios, "before": before, "after": after, "repetitions": len(ratios),
            }  # fmt: skip
            if "same_answers" in pairs[0]:
                summary[item]["same_answers"] = all(values["same_answers"] for values in pairs)
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--repetitions", type=int, default=5, help="in all, with those that rows have")
    parser.add_argument("--only", action="append", help=f"parts that begin like this; repeat: {', '.join(PARTS)}")
    parser.add_argument("--tiny", action="store_true", help="to try the script: nothing is kept, figures mean nothing")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a machine with other loads")
    options = parser.parse_args()
    before, after = checkout(options.before), checkout(options.after)
    parts = chosen(PARTS, options.only)
    settings = (TINY if options.tiny else SETTINGS) | {"cpu_clock": int(options.clock == "cpu")}
    with tempfile.TemporaryDirectory(prefix="before-after-") as folder:
        try:
            sides = Sides.copied(before, after, Path(folder))
            found = measured(sides, parts, options.repetitions, settings, keep=not options.tiny)
        except ProcessFailed as error:
            raise SystemExit(f"a side failed: {error}") from None
    key = {"before": sides.codes[0], "after": sides.codes[1], "settings": dict(settings), "threads": 1}
    for item, values in summarised(found).items():
        if not options.tiny:
            rows.append(NAME, key | {"item": item}, values)
        end = "no end" if values["high"] is None else f"{values['high']:.3f}"
        same = {True: "", False: ", ANSWERS DIFFER"}[values.get("same_answers", True)]
        print(f"{item}: {values['ratio']:.3f} [{values['low']:.3f}, {end}], met: {values['met']}{same}")


if __name__ == "__main__":
    main()
