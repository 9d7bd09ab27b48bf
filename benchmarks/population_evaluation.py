"""Populations evaluated together against one by one: wall time, equal answers, what each ingredient brings, memory.

The supernet is trained once on CIFAR-10 and kept under build/. Every side is a process of its own, because the
allocator is set per process; sides run in turns within a repetition. Two jobs: `random` (200 random architectures) and
`evolution` (20 generations of 50, recorded once and shown to every side).

* R: one by one in the way of Once-for-All's released library: extract, recalibrate on 2,000 images, validate on 5,000;
  default memory format and allocator; nothing remembered. T: the same made as fast as one by one can be: tuned
  allocator, channels_last, batch norms folded, identical architectures once.
* R and T are timed on every fourth architecture of `random`, every twentieth of `evolution`, and scaled: they share
  nothing between architectures, so time is additive; identical ones do not occur. Predictions are compared on every
  tenth.

    python -m benchmarks.population_evaluation                 # baselines and the whole, three repetitions
    python -m benchmarks.population_evaluation --ingredients   # what each part brings, one repetition
    python -m benchmarks.population_evaluation --answers       # how many predictions differ
    python -m benchmarks.population_evaluation --memory        # peaks of populations of 20 to 1,000 for three budgets
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import nas.data
from benchmarks import rows
from benchmarks.inherited_accuracy import benchmark_space
from nas.data import ImageData, Split
from nas.evaluation.population.evaluator import SupernetEvaluator, in_network_order
from nas.evaluation.population.malloc import keep_freed_memory
from nas.evaluation.population.racing import Racing
from nas.evaluation.population.scores import Scores
from nas.evaluation.population.trie import ALL, Sharing
from nas.kernels.convolution import Plain
from nas.objectives import Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import Supernet, build, calibrate, calibration_batch, load, save, train
from nas.supernets.layers import convolution

NAME = "population_evaluation"
DATA = "cifar10:images/cifar10_jpeg.tar.xz"
BUILD = Path(__file__).resolve().parent.parent / "build" / NAME
EPOCHS, IMAGES = 4, 20_000
RANDOM, GENERATIONS, POPULATION = 200, 20, 50
COMPARED, TIMED = 10, {"random": 4, "evolution": 20}  # every so many
TOP = 10
GIB = 2**30

# One by one: (tuned allocator, channels_last, folded, identical once).
ALONE = {
    "R": (False, False, False, False),
    "R + allocator": (True, False, False, False),
    "R + channels_last": (False, True, False, False),
    "R + folding": (False, False, True, False),
    "R + duplicates": (False, False, False, True),
    "R + allocator + channels_last": (True, True, False, False),
    "T": (True, True, True, True),
}
# Together, on top of T, each alone and cumulated. Plain: nothing shared, torch's kernels. Kernels: oneDNN's fused ones.
TOGETHER: dict[str, dict[str, Any]] = {
    "plain": {"sharing": Sharing(prefixes=False, widths=False), "fused": False},
    "kernels": {"sharing": Sharing(prefixes=False, widths=False)},
    "prefixes alone": {"sharing": Sharing(widths=False), "cache": False, "fused": False},
    "prefixes": {"sharing": Sharing(widths=False), "cache": False},
    "prefixes + widths": {"sharing": ALL, "cache": False},
    "all": {"budget_bytes": 4 * GIB},
    "racing alone": {"sharing": Sharing(prefixes=False, widths=False), "racing": True},
    "all + racing": {"racing": True, "budget_bytes": 4 * GIB},
    "all + bfloat16": {"precision": "bfloat16", "budget_bytes": 4 * GIB},
    "all, 1 GiB": {"budget_bytes": GIB},
}
MEMORY = [(budget, size) for budget in (GIB // 2, GIB, 4 * GIB) for size in (20, 200, 1000)]


def trained() -> Supernet:
    """The supernet, trained the first time."""
    if not (BUILD / "supernet.json").exists():
        data = nas.data.load(DATA, train_images=IMAGES)
        supernet = build(benchmark_space(), seed=0)
        train(supernet, data, rule="sandwich", epochs=EPOCHS, seed=0)
        save(BUILD, supernet, preprocessing=data.preprocessing, recipe={"rule": "sandwich", "epochs": EPOCHS})
    return load(BUILD).supernet


def random_job(space: SearchSpace) -> list[list[Architecture]]:
    """One call of random architectures."""
    return [space.architectures(space.sample_choices(np.random.default_rng(0), RANDOM))]


def evolution_job(space: SearchSpace, supernet: Supernet, data: ImageData) -> list[list[Architecture]]:
    """The calls of an evolutionary search, recorded the first time."""
    from nas import searchers
    from nas.searchers import Trial

    path = BUILD / "evolution.json"
    if not path.exists():
        searcher = searchers.get("evolution")(space, [Objective.parse("accuracy")], [], seed=0)
        evaluator, calls, number = SupernetEvaluator(supernet, data), [], 0
        for batch in range(GENERATIONS):
            asked = searcher.ask(POPULATION)
            found = evaluator.evaluate(asked)
            searcher.tell(
                [Trial(number + i, arch, m, batch) for i, (arch, m) in enumerate(zip(asked, found, strict=True))]
            )
            number += len(asked)
            calls.append(space.indices(asked).tolist())
        path.write_text(json.dumps(calls))
    return [space.architectures(np.array(call, dtype=np.int64)) for call in json.loads(path.read_text())]


def folded(network: nn.Module) -> nn.Module:
    """Every batch norm of an extracted network folded into the convolution before it."""
    for block in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            conv, norm = block[i], block[i + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def calibrated(network: nn.Module, images: Tensor, batch_size: int) -> None:
    """Our estimator on an extracted network: normalise by the batch, pool means and variances."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    inputs: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {norm: [] for norm in norms}

    def measure(norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        var, mean = torch.var_mean(args[0], dim=(0, 2, 3), correction=0)
        inputs[norm].append((mean, var))

    handles = [norm.register_forward_pre_hook(measure) for norm in norms]
    network.train()
    for batch in torch.tensor_split(images, -(-len(images) // batch_size)):
        network(batch)
    for handle in handles:
        handle.remove()
    for norm, parts in inputs.items():
        means, variances = torch.stack([m for m, _ in parts]), torch.stack([v for _, v in parts])
        norm.running_mean.copy_(means.mean(0))
        norm.running_var.copy_(variances.mean(0) + means.var(0, correction=0))
    network.eval()


@torch.inference_mode()
def one_by_one(
    supernet: Supernet, data: ImageData, archs: Sequence[Architecture], *, channels_last: bool, fold: bool, once: bool
) -> list[Tensor]:
    """The predictions [N] of each architecture on the validation split."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    calibration, images = (
        data.preprocessing.normalise(part.images).contiguous(memory_format=form)
        for part in (data.calibration, data.validation)
    )
    found: dict[Architecture, Tensor] = {}
    answers, batch_size = [], calibration_batch(supernet)
    for arch in archs:
        if not once or arch not in found:
            network: nn.Module
            if channels_last:  # the fastest calibration that there is alone
                network = supernet.extract(arch, calibrate(supernet, [arch], calibration)[0])
            else:
                network = supernet.extract(arch)
                calibrated(network, calibration, batch_size)
            network = (folded(network) if fold else network).to(memory_format=form)  # type: ignore[call-overload]
            batches = torch.split(images, batch_size)
            found[arch] = torch.cat([network(batch).argmax(1) for batch in batches])
        answers.append(found[arch])
    return answers


@torch.inference_mode()
def together(
    supernet: Supernet, data: ImageData, calls: Sequence[Sequence[Architecture]], *, sharing: Sharing | None = None,
    cache: bool = True, racing: bool = False, precision: Any = "float32", budget_bytes: int | None = None,
    device: str = "cpu", fused: bool = True,
) -> tuple[list[float], list[bool], dict[str, float]]:  # fmt: skip
    """Accuracies, who was stopped, and the evaluator's totals."""
    race = Racing((Objective.parse("accuracy"),), keep=TOP) if racing else None
    evaluator = SupernetEvaluator(
        supernet, data, precision=precision, racing=race, budget_bytes=budget_bytes, device=device,
        **({} if sharing is None else {"sharing": sharing}),
    )  # fmt: skip
    if not fused:
        convolution.prepacked = lambda weight, bias, _, *, stride, groups: Plain(weight, bias, stride, groups)
    if not cache:
        evaluator._cache._capacity = 0  # measured only: there is no such setting
    metrics = [m for call in calls for m in evaluator.evaluate(call)]
    return [m["accuracy"] for m in metrics], ["partial_images" in m for m in metrics], evaluator.totals.to_json()


@contextmanager
def recorded() -> Iterator[list[Tensor]]:
    """Every prediction made meanwhile, [M, N] a population, in the order in which images are shown."""
    tables, add = list[Tensor](), Scores.add
    owners = dict[int, Tensor]()

    def watched(scores: Scores, member: int, start: int, logits: Tensor, labels: Tensor) -> None:
        if id(scores) not in owners:
            owners[id(scores)] = torch.full(scores.values.shape[1:], -1, dtype=torch.int8)
            tables.append(owners[id(scores)])
            kept.append(scores)
        owners[id(scores)][member, start : start + len(logits)] = logits.argmax(1).to(torch.int8)
        add(scores, member, start, logits, labels)

    kept = list[Scores]()  # so that no id is used twice
    Scores.add = watched  # type: ignore[method-assign]
    try:
        yield tables
    finally:
        Scores.add = add  # type: ignore[method-assign]


def predictions(supernet: Supernet, data: ImageData, calls: Sequence[Sequence[Architecture]], side: str) -> Tensor:
    """[M, N]: what the evaluator predicts for each architecture of all calls, images in their own order."""
    with recorded() as tables:
        together(supernet, data, calls, **TOGETHER[side])
    order = torch.randperm(len(data.validation), generator=torch.Generator().manual_seed(0))
    known: dict[Architecture, Tensor] = {}
    for call, table in zip(calls, tables, strict=True):
        fresh = in_network_order(supernet.space, [arch for arch in dict.fromkeys(call) if arch not in known])
        for arch, row in zip(fresh, table, strict=True):
            known[arch] = torch.empty_like(row).index_copy_(0, order, row)
    return torch.stack([known[arch] for call in calls for arch in call])


def run_answers(job: str) -> dict[str, Any]:
    """How many predictions of the evaluator differ from those of one by one, on every tenth architecture."""
    keep_freed_memory()
    supernet, data = trained(), nas.data.load(DATA, train_images=IMAGES)
    calls = random_job(supernet.space) if job == "random" else evolution_job(supernet.space, supernet, data)
    archs = [arch for call in calls for arch in call]
    answers = one_by_one(supernet, data, archs[::COMPARED], channels_last=False, fold=False, once=False)
    expected = torch.stack(answers).to(torch.int8)
    labels = data.validation.labels.to(torch.int8)
    found: dict[str, Any] = {"architectures": len(expected), "predictions": expected.numel()}
    for side in ("all", "all + bfloat16"):
        given = predictions(supernet, data, calls, side)[::COMPARED]
        found[f"{side}: differing per 10,000"] = int((given != expected).sum()) / expected.numel() * 10_000
        moved = ((given == labels).double() - (expected == labels).double()).mean(1)
        found[f"{side}: accuracy moved, mean"] = float(moved.mean())
        found[f"{side}: accuracy moved, most"] = float(moved.abs().max())
    return found


def run_side(job: str, side: str) -> dict[str, Any]:
    """One side in this process."""
    if ALONE.get(side, (True,))[0] and not keep_freed_memory():
        print("the allocator's settings are not available here", file=sys.stderr)
    supernet, data = trained(), nas.data.load(DATA, train_images=IMAGES)
    space = supernet.space
    calls = random_job(space) if job == "random" else evolution_job(space, supernet, data)
    count = sum(map(len, calls))
    began = time.perf_counter()
    if side in ALONE:
        _, channels_last, fold, once = ALONE[side]
        archs = [arch for call in calls for arch in call][:: TIMED[job]]
        began = time.perf_counter()
        answers = one_by_one(supernet, data, archs, channels_last=channels_last, fold=fold, once=once)
        seconds = (time.perf_counter() - began) * count / len(archs)
        accuracies = [float((answer == data.validation.labels).float().mean()) for answer in answers]
        return {"wall_s": seconds, "accuracy": accuracies, "timed": len(archs), "architectures": count}
    watch = PeakMemory()
    began = time.perf_counter()
    accuracies, stopped, totals = together(supernet, data, calls, **TOGETHER[side])
    seconds = time.perf_counter() - began
    return {
        "wall_s": seconds, "accuracy": accuracies, "timed": count, "architectures": count, "stopped": sum(stopped),
        "peak_bytes": watch.bytes(), "budget_bytes": TOGETHER[side].get("budget_bytes"), **totals,
    }  # fmt: skip


def on_device(supernet: Supernet, data: ImageData, device: str) -> dict[str, tuple[float, int]]:
    """(seconds, architectures) of R, T and the evaluator on one device, one after the other; R and T on every tenth."""
    (archs,) = random_job(supernet.space)
    supernet, found = supernet.to(device).eval(), {}
    moved = replace(data, calibration=_moved(data.calibration, device), validation=_moved(data.validation, device))
    for side in ("R", "T"):
        _, channels_last, fold, once = ALONE[side]
        began = time.perf_counter()
        answers = one_by_one(supernet, moved, archs[::COMPARED], channels_last=channels_last, fold=fold, once=once)
        torch.stack(answers).cpu()  # waits for the device
        found[side] = (time.perf_counter() - began, len(answers))
    for side in ("prefixes + widths", "all + racing", "all + bfloat16"):
        began = time.perf_counter()
        together(supernet, data, [archs], device=device, **TOGETHER[side])
        found[side] = (time.perf_counter() - began, len(archs))
    return found


def _moved(split: Split, device: str) -> Split:
    return Split(split.images.to(device), split.labels.to(device))


class PeakMemory:
    """The most memory that this process has had since now, more than it needs now (Linux)."""

    def __init__(self) -> None:
        ctypes.CDLL(None).malloc_trim(0)  # what is free now would hide as much of what comes
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
        self._before = self._status("VmRSS")

    def bytes(self) -> int:
        """Until now."""
        return self._status("VmHWM") - self._before

    @staticmethod
    def _status(name: str) -> int:
        return 1024 * int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])


def run_memory(budget: int, size: int) -> dict[str, Any]:
    """Peak memory of one population with 1,000 images to score, in this process."""
    keep_freed_memory()
    supernet, data = trained(), nas.data.load(DATA, train_images=IMAGES)
    shown = Split(data.validation.images[:1000].clone(), data.validation.labels[:1000].clone())
    archs = supernet.space.architectures(supernet.space.sample_choices(np.random.default_rng(0), size))
    evaluator = SupernetEvaluator(supernet, replace(data, validation=shown), budget_bytes=budget)
    watch = PeakMemory()
    evaluator.evaluate(archs)
    peak = watch.bytes()
    return {"peak_bytes": peak, "peak_of_budget": peak / budget}


def in_a_process(*options: str, threads: int) -> dict[str, Any]:
    """What this script prints as its last line, started anew."""
    command = [sys.executable, "-m", f"benchmarks.{NAME}", *options]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(job: str, side: str, repetition: int, threads: int, *, force: bool) -> dict[str, Any]:
    """One side in a fresh process, and its row; skipped where the row is there, unless it is to be made again."""
    key = {"job": job, "side": side, "repetition": repetition, "threads": threads}
    found = None if force else rows.finished(NAME, key, sources=rows.code())
    if found is None:
        found = in_a_process("--side", side, "--jobs", job, threads=threads)
        rows.append(NAME, key, found)
        print(job, side, repetition, f"{found['wall_s']:.1f} s", flush=True)
    return found


def summary(job: str, repetitions: int, threads: int) -> None:
    """Medians and ratios to R and T, of rows that the sources of now have made."""
    runs = {side: list[dict[str, Any]]() for side in (*ALONE, *TOGETHER)}
    for side, i in itertools.product(runs, range(repetitions)):
        key = {"job": job, "side": side, "repetition": i, "threads": threads}
        if values := rows.finished(NAME, key, sources=rows.code()):
            runs[side].append(values)
    times = {side: statistics.median(v["wall_s"] for v in found) for side, found in runs.items() if found}
    if "R" not in times or "T" not in times:
        return
    for side, seconds in times.items():
        first = runs[side][0]
        values = {
            "repetitions": len(runs[side]), "wall_s": seconds, "times_R": times["R"] / seconds,
            "times_T": times["T"] / seconds, "architectures_per_s": first["architectures"] / seconds,
        }  # fmt: skip
        if first.get("budget_bytes"):
            values["peak_of_budget"] = max(v["peak_bytes"] for v in runs[side]) / first["budget_bytes"]
        if first.get("stopped") and runs["all"]:
            best = np.argsort(-np.array(runs["all"][0]["accuracy"]), kind="stable")[:TOP]
            kept = np.argsort(-np.array(first["accuracy"]), kind="stable")[:TOP]
            values |= {"stopped": first["stopped"], "same_top_10": len(set(best.tolist()) & set(kept.tolist()))}
        for name in ("peak_bytes", "share_saved_by_prefixes", "share_saved_by_racing"):
            if name in first:
                values[name] = first[name]
        rows.append(f"{NAME}_summary", {"job": job, "side": side, "threads": threads}, values)
        print(job, side, {k: round(v, 3) for k, v in values.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="random,evolution")
    parser.add_argument("--sides", default="R,T,all,all + racing")
    parser.add_argument("--ingredients", action="store_true", help="only each ingredient, once, for the random job")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--force", action="store_true", help="measure again what is there already")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--answers", action="store_true", help="only compare predictions, one row a job")
    parser.add_argument("--memory", action="store_true", help="only peaks of memory, one row a budget and population")
    parser.add_argument("--peak", help="BUDGET,SIZE in this process; prints one line of JSON")
    parser.add_argument("--side", help="one side in this process; prints one line of JSON")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options.jobs, options.side)))
        return
    if options.peak:
        budget, size = map(int, options.peak.split(","))
        print(json.dumps(run_memory(budget, size)))
        return
    if options.memory:
        for budget, size in MEMORY:
            found = in_a_process("--peak", f"{budget},{size}", threads=options.threads)
            rows.append(f"{NAME}_memory", {"budget_bytes": budget, "architectures": size}, found)
            print(f"{budget / GIB:g} GiB, {size} architectures: {found['peak_of_budget']:.2f} of it", flush=True)
        return
    if options.answers:
        for job in options.jobs.split(","):
            found = run_answers(job)
            rows.append(f"{NAME}_answers", {"job": job}, found)
            print(job, found, flush=True)
        return
    supernet = trained()
    evolution_job(supernet.space, supernet, nas.data.load(DATA, train_images=IMAGES))
    sides, jobs, repetitions = options.sides.split(","), options.jobs.split(","), options.repetitions
    if options.ingredients:
        sides, jobs, repetitions = [*ALONE, *TOGETHER], ["random"], 1
    for repetition in range(repetitions):
        for job in jobs:
            for side in sides:
                measured(job, side, repetition, options.threads, force=options.force)
    for job in options.jobs.split(","):
        summary(job, options.repetitions, options.threads)


if __name__ == "__main__":
    main()
