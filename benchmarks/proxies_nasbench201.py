"""How well proxies order NAS-Bench-201's networks, beside parameters, and beside the published scores.

500 of the 9,445 unique cells, the same for all seeds; accuracies after 200 epochs on CIFAR-10's test set; 64 images.
"published" are the scores of NAS-Bench-Suite-Zero for the same networks, compared with the validation accuracy that
they came with; "to seed 0" is how alike two of our own draws of weights and images are.

    NAS_DATA_DIR=... python -m benchmarks.proxies_nasbench201 --jobs 2
    NAS_DATA_DIR=... python -m benchmarks.proxies_nasbench201 --networks 20 --seeds 1
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

import numpy as np
from scipy.stats import spearmanr

from benchmarks import nasbench201_scores as bench
from benchmarks import rows
from nas.evaluation.tabular.evaluator import read_csv
from nas.proxies import COMBINED, PROXIES, aggregate, agreement, get, ranks

NAME = "proxies_nasbench201"
IMAGES = 64
CLASSIC = [
    "params", "macs", "l2_norm", "grad_norm", "snip", "plain", "fisher", "jacob_cov", "epe_nas", "nwot", "synflow",
]  # fmt: skip
ELSEWHERE = (*CLASSIC, "gradsign", "grasp", "zen")
OTHERS = ["macs", *(n for n in PROXIES if n not in ELSEWHERE and get(n).needs != "feed_forward_blocks")]
GROUPS = {
    "params": ["params"],
    "gradsign": ["gradsign"],
    "classic": CLASSIC,
    "others": OTHERS,
    "grasp": ["grasp"],
    "zen": ["zen"],
}
# The columns of the published scores.
PUBLISHED = {
    "epe_nas": "epe_nas", "fisher": "fisher", "macs": "flops", "grad_norm": "grad_norm", "grasp": "grasp",
    "jacob_cov": "jacov", "l2_norm": "l2_norm", "nwot": "nwot", "params": "params", "plain": "plain", "snip": "snip",
    "synflow": "synflow", "zen": "zen",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default=",".join(GROUPS), help="which scores to compute")
    words = parser.parse_args()
    numbers = bench.subset(words.networks, 0)
    truth = {row["idx"]: float(row["c10_test_200ep"]) for row in read_csv(bench.FULL, ["idx", "c10_test_200ep"])}
    published = {row["idx"]: row for row in bench.unique()}
    accuracy = np.array([truth[n] for n in numbers]) / 100
    params = np.array([float(published[n]["c10_params"]) for n in numbers])
    validation = np.array([float(published[n]["c10_val_acc_200ep"]) for n in numbers])
    first: dict[str, np.ndarray] = {}
    for seed in range(words.seeds):
        for group in words.only.split(","):
            names = GROUPS[group]
            found = bench.scores(numbers, names, images=words.images, seed=seed, jobs=words.jobs)
            columns = {name: np.array([found[n]["scores"][name] for n in numbers]) for name in names}
            seconds = {name: float(np.median([found[n]["seconds"][name] for n in numbers])) for name in names}
            for name, parts in COMBINED.items():
                if set(parts) <= columns.keys():
                    columns[name] = aggregate({part: columns[part] for part in parts})
                    seconds[name] = sum(seconds[part] for part in parts)
            for name, column in columns.items():
                if group == "others" and name == "macs":  # a part of az_nas
                    continue
                values = asdict(agreement(column, accuracy, params)) | {"seconds": seconds[name]}
                if seed > 0:  # how far a score is the weights' and the batch's; published scores have another draw
                    values["spearman_to_seed_0"] = float(spearmanr(ranks(column), first[name]).statistic)
                first.setdefault(name, ranks(column))
                if name in PUBLISHED:
                    theirs = np.array([float(published[n]["c10_" + PUBLISHED[name]] or "nan") for n in numbers])
                    known = np.isfinite(theirs)
                    values["published_spearman"] = float(spearmanr(theirs[known], validation[known]).statistic)
                    ours = ranks(column)[known]  # what is not finite is the worst
                    values["spearman_to_validation"] = float(spearmanr(ours, validation[known]).statistic)
                    values["spearman_to_published_scores"] = float(spearmanr(ours, theirs[known]).statistic)
                key = {"proxy": name, "networks": len(numbers), "images": words.images, "seed": seed}
                rows.append(NAME, key, values)
                print(name, seed, {k: round(v, 3) for k, v in values.items() if v is not None}, flush=True)


if __name__ == "__main__":
    main()
