"""results/README.md, made from the rows: every table says which command makes it.

python -m benchmarks.page
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from benchmarks import rows

Row = dict[str, Any]


def table(head: list[str], body: Iterable[list[Any]]) -> str:
    """A Markdown table; floats to three digits."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in line) + " |" for line in body]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, list):
        return "..".join(map(_cell, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def newest(benchmark: str) -> list[Row]:
    """The newest row of each key and device, in the order in which keys first appeared."""
    found: dict[str, Row] = {}
    for row in rows.read(benchmark):
        found[repr((row["key"], row["device"]))] = row
    return list(found.values())


def search_on_digits() -> str:
    body = [
        [r["key"]["seed"], r["values"]["wall_s"], r["values"]["front"], 100 * r["values"]["best_test_accuracy"],
         r["values"]["best_macs"], 100 * r["values"]["knee_test_accuracy"], r["values"]["knee_macs"]]
        for r in newest("search_digits")
    ]  # fmt: skip
    head = ["seed", "seconds in all", "front members", "best: test %", "best: macs", "knee: test %", "knee: macs"]
    return table(head, body)


def inherited() -> str:
    # The newest row with the most seeds.
    last = {(r["key"]["how"], r["device"]): r for r in rows.read("inherited_accuracy_summary")}
    body = [
        [v["how"], r["device"], v["seeds"], v["mean_gap_points"], v["gap_smallest_points"], v["gap_largest_points"],
         f"{v['kendall_tau']:.2f} [{v['tau_low']:.2f}, {v['tau_high']:.2f}]", v["train_s"]]
        for r in last.values() for v in [r["values"]]
    ]  # fmt: skip
    head = [
        "supernet",
        "device",
        "seeds",
        "mean gap, points",
        "smallest",
        "largest",
        "Kendall tau [95 %]",
        "training, s",
    ]
    alone = sorted((r["values"]["macs"], 100 * r["values"]["test_accuracy"])
                   for r in newest("inherited_accuracy") if r["key"]["unit"] == "alone")  # fmt: skip
    trained = "Trained alone, test % by macs: " + ", ".join(f"{a:.1f} at {m / 1e6:.2f}M" for m, a in alone) + "."
    return table(head, body) + "\n\n" + trained


def overhead() -> str:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for r in newest("overhead"):
        groups.setdefault((r["key"]["what"], r["key"]["preset"], r["device"]), []).append(r["values"])
    body = []
    for (what, preset, device), values in groups.items():
        ratios = [v["ratio"] for v in values]
        times = [statistics.median(v[side] for v in values) for side in ("elastic_ms", "plain_ms")]
        body.append([what, preset, device, *times, statistics.median(ratios), f"{min(ratios):.2f}..{max(ratios):.2f}"])
    return table(["what", "preset", "device", "elastic, ms", "plain, ms", "ratio", "over repetitions"], body)


def recalibration() -> str:
    body = [
        [r["key"]["data"], r["key"]["seed"], 100 * r["values"]["smallest_calibrated"],
         100 * r["values"]["smallest_uncalibrated"], r["values"]["gap_points"]]
        for r in newest("recalibration")
    ]  # fmt: skip
    return table(["data", "seed", "smallest, calibrated, test %", "not calibrated, test %", "gap, points"], body)


def costs() -> str:
    return facts("costs")


def nsga2() -> str:
    ratios = [r for r in newest("nsga2") if r["key"].get("what") == "zdt ratio"]
    most = {(r["key"]["problem"], r["key"]["generations"]): r for r in ratios}
    body = [
        [f"ZDT{problem}", generations, r["key"]["seeds"], r["values"]["hypervolume_nas"],
         r["values"]["hypervolume_pymoo"], f"{r['values']['ratio_to_pymoo']:.4f}",
         f"{r['values']['ratio_low_95']:.4f}..{r['values']['ratio_high_95']:.4f}"]
        for (problem, generations), r in sorted(most.items())
    ]  # fmt: skip
    rest = [r for r in newest("nsga2") if not r["key"].get("what", "").startswith("zdt")]
    head = ["problem", "generations", "seeds", "hypervolume", "pymoo's", "ratio", "95 %"]
    return table(head, body) + "\n\n" + _facts(rest)


def facts(benchmark: str) -> str:
    """Rows as they are, one line each."""
    return _facts(newest(benchmark))


def _facts(found: list[Row]) -> str:
    say = lambda values: ", ".join(f"{k} {_cell(v)}" for k, v in values.items())
    return table(["what", "device", "figures"], [[say(r["key"]), r["device"], say(r["values"])] for r in found])


def populations() -> str:
    """Medians; the newest summary of each side."""
    body = []
    for r in newest("population_evaluation_summary"):
        k, v = r["key"], r["values"]
        saved = [v.get(f"share_saved_by_{what}") for what in ("prefixes", "racing")]
        body.append(
            [k["job"], k["side"], v["repetitions"], v["wall_s"], v["times_R"], v["times_T"], v["architectures_per_s"],
             *("" if share is None else 100 * share for share in saved),
             "" if "peak_bytes" not in v else v["peak_bytes"] / 2**20, v.get("same_top_10", "")]
        )  # fmt: skip
    head = [
        "job", "side", "repetitions", "s", "times R", "times T", "architectures/s", "% saved by prefixes",
        "% by racing", "peak MiB", "same top 10",
    ]  # fmt: skip
    answers = newest("population_evaluation_answers")
    differing = "\n\nPredictions that differ from one by one:\n\n" + _facts(answers) if answers else ""
    return table(head, body) + differing


def proxies() -> str:
    """Means over seeds; only proxies of as many networks, which stand together, compare."""
    groups: dict[tuple[str, int, int], list[Row]] = {}
    for r in newest("proxies_nasbench201"):
        groups.setdefault((r["key"]["proxy"], r["key"]["networks"], r["key"]["images"]), []).append(r["values"])
    body = []
    for (proxy, networks, images), values in groups.items():
        mean = lambda name, values=values: _mean([v.get(name) for v in values])
        body.append(
            [proxy, networks, images, len(values), mean("spearman"), mean("kendall"), mean("partial_spearman"),
             mean("top_spearman"), mean("best_of_100"), mean("seconds"),
             mean("spearman_to_validation"), mean("published_spearman"), mean("spearman_to_published_scores"),
             mean("spearman_to_seed_0")]
        )  # fmt: skip
    head = [
        "proxy", "networks", "images", "seeds", "Spearman", "Kendall", "partial", "top tenth", "best of 100",
        "s a network", "to validation", "published", "our scores to published ones", "to those of seed 0",
    ]  # fmt: skip
    return table(head, sorted(body, key=lambda line: (-line[1], -(line[4] if isinstance(line[4], float) else -2.0))))


def published() -> str:
    """Means over seeds, ranges over cells and seeds."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for r in newest("proxies_published"):
        groups.setdefault((r["key"]["proxy"], r["key"]["reading"]), []).append(r["values"])
    body = []
    for key, values in groups.items():
        least, most = (
            [pick(v[f"{what}_{end}"] for v in values) for what in ("ratio", "less")]
            for pick, end in ((min, "lowest"), (max, "highest"))
        )
        body.append(
            [*key, len(values), values[0]["cells"], f"{_mean([v['spearman'] for v in values]):.4f}",
             _mean([v["ratio_median"] for v in values]), *map(list, zip(least, most, strict=True))]
        )  # fmt: skip
    head = ["proxy", "reading", "seeds", "cells", "Spearman", "times these, median", "lowest..highest", "less these"]
    return table(head, body)


def flexibert() -> str:
    """Means over seeds, best first; intervals from the lowest to the highest end of any seed."""
    groups: dict[str, list[Row]] = {}
    for r in newest("proxies_flexibert"):
        groups.setdefault(r["key"]["proxy"], []).append(r["values"])
    body = []
    for proxy, values in groups.items():
        ends = lambda name, values=values: [min(v[name][0] for v in values), max(v[name][1] for v in values)]
        body.append(
            [proxy, len(values), _mean([v["spearman"] for v in values]), ends("spearman_95"),
             _mean([v["kendall"] for v in values]), ends("less_params_without_embeddings_95"),
             ends("less_params_95")]
        )  # fmt: skip
    head = [
        "proxy", "seeds", "Spearman", "95 %", "Kendall", "less params without embeddings, 95 %", "less params, 95 %",
    ]  # fmt: skip
    return table(head, sorted(body, key=lambda line: -line[2]))


def searchers() -> str:
    """The newest row of each searcher with the most seeds; in brackets the difference to the reference."""
    most: dict[tuple[str, int], Row] = {}
    for r in newest("searchers_nasbench201"):
        key = (r["key"]["searcher"], r["key"]["images"])
        if key not in most or r["key"]["seeds"] >= most[key]["key"]["seeds"]:
            most[key] = r
    body = []
    for (searcher, _), r in most.items():
        v = r["values"]
        line = [searcher, r["key"]["seeds"]]
        for n in (name.removeprefix("mean_") for name in v if name.startswith("mean_")):
            less = f" ({v[f'less_reference_{n}']:+.2f})" if f"less_reference_{n}" in v else ""
            line.append(f"{v[f'mean_{n}']:.2f} ± {v[f'std_{n}']:.2f}{less}")
        body.append(line)
    return table(["searcher", "seeds", *(f"{n} networks" for n in (20, 50, 100, 200, 500))], body)


def _mean(values: list[float | None]) -> float | str:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else ""


# File of rows -> (title, command, what to know, how to show it).
SECTIONS = {
    "search_digits": (
        "The main job on digits", "python -m benchmarks.search_digits",
        "`nas search --space mobilenet --data digits`, from nothing to a front; accuracy on the test split that the "
        "search did not see.", search_on_digits,
    ),
    "inherited_accuracy_summary": (
        "Trained once against trained alone", "python -m benchmarks.inherited_accuracy --jobs 2",
        "CIFAR-10 (JPEG q75), 20,000 training images, 8 epochs, 12 architectures trained alone once each, with the "
        "same recipe. Gap: test accuracy alone minus inherited. `single_path_equal_passes` trains four times as many "
        "epochs, as many network passes as the sandwich rule. Not to be compared with published CIFAR-10 figures.",
        inherited,
    ),
    "overhead": (
        "What elasticity costs", "python -m benchmarks.overhead",
        "Batch 128, both sides in turns in one process, medians of 3 repetitions.", overhead,
    ),
    "recalibration": (
        "What batch-norm calibration is worth", "python -m benchmarks.recalibration",
        "The smallest sub-network after training with the BigNAS rule.", recalibration,
    ),
    "costs": ("Exact costs, counting and sampling", "python -m benchmarks.costs", "", costs),
    "nsga2": (
        "NSGA-II beside pymoo's", "python -m benchmarks.nsga2",
        "Mean hypervolume over seeds with the same operators and budget; 30 variables of 33 levels, population 100.",
        nsga2,
    ),
    "ledger": (
        "A ledger of 10,000 trials", "python -m benchmarks.ledger",
        "Written one append a trial; then read, and opened to go on with.", lambda: facts("ledger"),
    ),
    "population_evaluation_summary": (
        "Populations together against one by one", "python -m benchmarks.population_evaluation",
        "CIFAR-10 (JPEG q75), a trained supernet, 2,000 images for calibration and 5,000 for validation, 2 threads; "
        "200 random architectures, and 20 generations of 50. R: one by one as Once-for-All's released library does "
        "it; T: as fast as one by one gets. Plain: nothing shared, torch's kernels; kernels: nonlinearities inside "
        "oneDNN's. Rows with one repetition are from one run of `--ingredients`.",
        populations,
    ),
    "population_evaluation_memory": (
        "Peak memory of a population", "python -m benchmarks.population_evaluation --memory",
        "Beyond network, images and what the process had before, for budgets of 0.5, 1 and 4 GiB.",
        lambda: facts("population_evaluation_memory"),
    ),
    "ray_pool": (
        "A pool of Ray workers", "python -m benchmarks.ray_pool",
        "Overhead of an evaluator that costs nothing; eight simulated workers that wait; two workers of one thread "
        "against one.", lambda: facts("ray_pool"),
    ),
    "distributed_training": (
        "Training on two workers", "python -m benchmarks.distributed_training",
        "Against one process on the whole batch; collective calls of a step; time of a step.",
        lambda: facts("distributed_training"),
    ),
    "proxies_nasbench201": (
        "Proxies on NAS-Bench-201", "python -m benchmarks.proxies_nasbench201",
        "Cells drawn among the 9,445 that are unique, at full width and depth, CIFAR-10 images (JPEG q75), weights as "
        "torch draws them; test accuracy after 200 epochs. Partial: given the parameters. To validation: the Spearman "
        "correlation with the validation accuracy that NAS-Bench-Suite-Zero's scores came with; published: theirs for "
        "the same networks. The last two columns say how alike two draws of weights and images are. Seconds are "
        "medians, several processes side by side, for orders of magnitude; what proxies share counts with the first of "
        "them. A proxy that does not beat params says little.",
        proxies,
    ),
    "proxies_published": (
        "Why published scores differ", "python -m benchmarks.proxies_published",
        "Scores as NAS-Bench-Suite-Zero read them, beside ours: correlation with the published ones, and the published "
        "ones as multiples of these and less these (multiply-adds in millions).", published,
    ),
    "proxies_flexibert": (
        "Proxies on FlexiBERT's encoders", "python -m benchmarks.proxies_flexibert",
        "250 encoders with GLUE scores; words of WikiText-2. Intervals: 2,000 paired draws with replacement.",
        flexibert,
    ),
    "proxy_speed": (
        "What proxies cost", "python -m benchmarks.proxy_speed",
        "All sides in one process, medians over networks. Passes are forward-backward passes of the same network and "
        "batch.", lambda: facts("proxy_speed"),
    ),
    "searchers_nasbench201": (
        "Searchers on NAS-Bench-201's table, alone and assisted",
        "python -m benchmarks.searchers_nasbench201 --seeds 300",
        "Best validation accuracy after so many different networks, %: mean and standard deviation over seeds; in "
        "brackets the difference to an earlier measurement with the same settings, means of 300 seeds (see LOG.md).",
        searchers,
    ),
    "gpu_suite": ("On a GPU", "python -m benchmarks.gpu_suite", "", lambda: facts("gpu_suite")),
}  # fmt: skip


def page() -> str:
    """The whole page."""
    parts = [
        "# Published figures",
        "Made by `python -m benchmarks.page` from the rows in this folder; every row holds its settings, seed, commit, "
        "device and versions. What failed is in [LOG.md](LOG.md).",
    ]
    for name, (title, command, note, show) in SECTIONS.items():
        if rows.read(name):
            parts += [f"## {title}", f"`{command}`" + (f"\n\n{note}" if note else ""), show()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (rows.RESULTS / "README.md").write_text(page())
