"""Trained once against trained alone, on CIFAR-10: gaps and rank agreement of every training rule.

Twelve architectures spread over the cost range are trained alone, once each, with the supernet's number of epochs.
Every rule trains a supernet with three seeds; so do the controls: train the largest and slice it, and single path
with as many network passes as the sandwich rule. A row is appended per finished unit of work; finished units are
skipped when the script is started again. `--jobs 2` runs units side by side, one thread each.

    python -m benchmarks.inherited_accuracy --data cifar10:images/cifar10_jpeg.tar.xz --jobs 2
    python -m benchmarks.inherited_accuracy --summary
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.stats
import torch

import nas.data
from benchmarks import rows
from nas.data import ImageData
from nas.evaluation.population.evaluator import SupernetEvaluator
from nas.evaluation.population.scores import score
from nas.search_spaces import Architecture, MobileNetSpace, SearchSpace
from nas.search_spaces.mobilenet import presets as mobilenet_presets
from nas.supernets import RULES, build, train, train_alone
from nas.task import ImageClassification
from nas.training import Progress

NAME = "inherited_accuracy"
EPOCHS, IMAGES, MEMBERS, SEEDS = 8, 20_000, 12, (0, 1, 2)
SANDWICH_PASSES = 4
# How the supernets are made: name -> (rule, epochs as a multiple of EPOCHS).
SUPERNETS = {
    "sandwich": ("sandwich", 1),
    "bignas": ("bignas", 1),
    "ofa": ("ofa", 1),
    "single_path": ("single_path", 1),
    "single_path_equal_passes": ("single_path", SANDWICH_PASSES),
    "largest_then_slice": ("largest_only", 1),
}


def benchmark_space() -> SearchSpace:
    """The preset for 32x32 images at 16, 20 and 24 pixels: at most 4.4 million multiply-adds, for 2 cores."""
    preset = mobilenet_presets.PRESETS["small"]
    config = replace(preset.config, resolutions=(16, 20, 24))
    return MobileNetSpace(config, task=ImageClassification(preset.task.size, 3, 10))


def members(space: SearchSpace) -> list[Architecture]:
    """Smallest, largest, and random members at evenly spaced logarithms of macs in between."""
    low, high = space.cost(space.smallest()).macs, space.cost(space.largest()).macs
    rng = np.random.default_rng(2024)
    drawn = space.architectures(space.sample_choices(rng, 20_000))
    macs = space.costs(drawn)["macs"]
    chosen = [space.smallest()]
    for target in np.geomspace(low, high, MEMBERS)[1:-1]:
        near = [drawn[i] for i in np.argsort(np.abs(np.log(macs / target)), kind="stable") if drawn[i] not in chosen]
        chosen.append(near[0])
    return [*chosen, space.largest()]


def key_alone(index: int, arch: Architecture) -> dict[str, Any]:
    return {"unit": "alone", "member": index, "arch": arch.digest, "epochs": EPOCHS, "images": IMAGES}


def key_supernet(how: str, seed: int) -> dict[str, Any]:
    rule, multiple = SUPERNETS[how]
    recipe = RULES[rule]
    return {
        "unit": "supernet", "how": how, "seed": seed, "epochs": EPOCHS * multiple, "images": IMAGES,
        "learning_rate": recipe.learning_rate, "weight_decay": recipe.weight_decay,
        "dropout": recipe.dropout, "drop_connect": recipe.drop_connect,
        **({"regularised": sorted(recipe.regularised)} if recipe.regularised != {"largest"} else {}),
        "phases": [[p.name, p.share, p.learning_rate] for p in recipe.phases(benchmark_space())],
    }  # fmt: skip


def run_alone(space: SearchSpace, data: ImageData, index: int, arch: Architecture, device: str) -> None:
    """Train one member alone, from fresh weights, and test it."""
    began = time.monotonic()
    supernet = build(space, seed=100 + index)
    network = supernet.extract(arch)
    say = _say(f"alone {index}")
    train_alone(network, data, space=space, arch=arch, epochs=EPOCHS, seed=index, device=device, progress=say)
    network.eval()
    accuracy = score(network, data, "test", device=device)["accuracy"]
    cost = space.cost(arch)
    values = {"test_accuracy": accuracy, "macs": cost.macs, "params": cost.params, "genes": arch.genes}
    rows.append(NAME, key_alone(index, arch), values | {"wall_s": time.monotonic() - began}, device=device)


def run_supernet(space: SearchSpace, data: ImageData, how: str, seed: int, device: str) -> None:
    """Train one supernet and test every member with inherited weights and calibrated batch norms."""
    began = time.monotonic()
    rule, multiple = SUPERNETS[how]
    supernet = build(space, seed=seed)
    train(
        supernet, data, rule=RULES[rule], epochs=EPOCHS * multiple, seed=seed, device=device,
        progress=_say(f"{how} {seed}"),
    )  # fmt: skip
    trained = time.monotonic() - began
    chosen = members(space)
    found = SupernetEvaluator(supernet, data, split="test", device=device).evaluate(chosen)
    accuracies = {arch.digest: metrics["test_accuracy"] for arch, metrics in zip(chosen, found, strict=True)}
    rows.append(NAME, key_supernet(how, seed), {"test_accuracy": accuracies, "train_s": trained}, device=device)


def _say(what: str) -> Any:
    def progress(p: Progress) -> None:
        if p.step % 156 == 0 or p.step == p.steps:
            print(
                f"{what}: step {p.step}/{p.steps} {p.phase} loss {p.loss:.3f} "
                f"{p.metric.column} {p.metric.text(p.value)} left {p.seconds_left:.0f} s",
                flush=True,
            )

    return progress


def units(space: SearchSpace) -> list[tuple[Any, ...]]:
    """All units of work, those that a summary needs first in front."""
    alone = [("alone", i, arch) for i, arch in enumerate(members(space))]
    supernets = [("supernet", how, seed) for seed in SEEDS for how in SUPERNETS]
    return [*alone, *supernets]


def worker(spec: str, device: str, threads: int, queue: Any) -> None:
    """Do units from the queue until it says None."""
    torch.set_num_threads(threads)
    data = nas.data.load(spec, train_images=IMAGES)
    space = benchmark_space()
    while (unit := queue.get()) is not None:
        if unit[0] == "alone":
            run_alone(space, data, *unit[1:], device)
        else:
            run_supernet(space, data, *unit[1:], device)


def run_until(spec: str, device: str, deadline: float) -> None:
    """Do unfinished units in this process until `time.monotonic()` passes the deadline."""
    data = nas.data.load(spec, train_images=IMAGES)
    space = benchmark_space()
    for unit in units(space):
        key = key_alone(*unit[1:]) if unit[0] == "alone" else key_supernet(*unit[1:])
        if rows.finished(NAME, key, device=device) is None and time.monotonic() < deadline:
            run = run_alone if unit[0] == "alone" else run_supernet
            run(space, data, *unit[1:], device)


def run_all(spec: str, device: str, jobs: int) -> None:
    """Do every unit that is not finished, in `jobs` processes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for unit in units(benchmark_space()):
        key = key_alone(*unit[1:]) if unit[0] == "alone" else key_supernet(*unit[1:])
        if rows.finished(NAME, key, device=device) is None:
            queue.put(unit)
    for _ in range(jobs):
        queue.put(None)
    threads = max(1, torch.get_num_threads() // jobs)
    processes = [context.Process(target=worker, args=(spec, device, threads, queue)) for _ in range(jobs)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def summary(device: str) -> list[dict[str, Any]]:
    """Mean gap to training alone in points, and Kendall's tau with a bootstrap interval over members."""
    stored = [row for row in rows.read(NAME) if row["device"] == device]
    alone = {r["key"]["arch"]: r["values"] for r in stored if r["key"]["unit"] == "alone"}
    out = []
    for how in SUPERNETS:
        runs = [found for seed in SEEDS if (found := rows.finished(NAME, key_supernet(how, seed), device=device))]
        if not runs or not alone:
            continue
        order = sorted(alone, key=lambda digest: alone[digest]["macs"])
        own = np.array([alone[digest]["test_accuracy"] for digest in order])
        inherited = np.array([[run["test_accuracy"][digest] for digest in order] for run in runs])
        gaps = (own - inherited).mean(axis=1) * 100
        taus = [float(scipy.stats.kendalltau(own, row).statistic) for row in inherited]
        low, high = tau_interval(own, inherited)
        out.append(
            {
                "how": how, "seeds": len(runs), "members": len(order), "mean_gap_points": float(gaps.mean()),
                "gap_per_seed_points": gaps.tolist(),
                "gap_smallest_points": float((own - inherited)[:, 0].mean() * 100),
                "gap_largest_points": float((own - inherited)[:, -1].mean() * 100), "kendall_tau": float(np.mean(taus)),
                "tau_low": low, "tau_high": high, "train_s": float(np.mean([run["train_s"] for run in runs])),
            }
        )  # fmt: skip
    return out


def tau_interval(own: np.ndarray, inherited: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean Kendall tau, resampling members."""
    rng = np.random.default_rng(0)
    taus = []
    for _ in range(2000):
        pick = rng.integers(0, len(own), len(own))
        values = [scipy.stats.kendalltau(own[pick], row[pick]).statistic for row in inherited]
        if np.isfinite(values).all():
            taus.append(np.mean(values))
    return float(np.quantile(taus, 0.025)), float(np.quantile(taus, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10:images/cifar10_jpeg.tar.xz")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--summary", action="store_true")
    options = parser.parse_args()
    if not options.summary:
        run_all(options.data, options.device, options.jobs)
    for row in summary(options.device):
        rows.append(f"{NAME}_summary", {"how": row["how"], "seeds": row["seeds"]}, row, device=options.device)
        print(row)


if __name__ == "__main__":
    main()
