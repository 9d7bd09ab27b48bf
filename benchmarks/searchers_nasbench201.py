"""Searchers on NAS-Bench-201's table, alone and with proxies beside them.

The best validation accuracy (200 epochs, CIFAR-10) after so many different networks of the 9,445 unique cells, mean
over seeds. A proposal that is no such cell costs nothing and is not counted. Assisted searchers take the best of 10
children of one parent by a score that is computed once for all cells: synflow, params, and GradSign with 16 images.

    NAS_DATA_DIR=... python -m benchmarks.nasbench201_scores --proxies gradsign --images 16 --jobs 2
    NAS_DATA_DIR=... python -m benchmarks.nasbench201_scores --proxies synflow,params --images 16 --jobs 2
    NAS_DATA_DIR=... python -m benchmarks.searchers_nasbench201
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import nasbench201_scores as bench
from benchmarks import rows
from nas.objectives import Objective
from nas.search_spaces import Architecture
from nas.searchers import Assisted, Evolution, LocalSearch, Random, Searcher, Strategy, Trial

NAME = "searchers_nasbench201"
AT = (20, 50, 100, 200, 500)
IMAGES = 16
ASSISTANTS = ("synflow", "params", "gradsign")
# results/LOG.md says where these means of 300 seeds are from; standard deviations of a run are 0.04 to 0.5.
REFERENCE = {
    "random": (90.26, 90.64, 90.85, 91.01, 91.19),
    "evolution 10/3": (90.37, 90.91, 91.22, 91.37, 91.46),
    "evolution 30/10": (90.26, 90.97, 91.31, 91.46, 91.54),
    "local": (90.67, 91.26, 91.40, 91.48, 91.56),
    "evolution 10/3 + synflow": (90.90, 91.43, 91.56, 91.57, 91.57),
    "evolution 10/3 + params": (90.73, 91.21, 91.38, 91.47, 91.56),
}


def curve(strategy: Strategy, accuracy: Mapping[Architecture, float], seed: int, most: int) -> list[float]:
    """The best accuracy after 1, 2, ... networks of the table."""
    space = bench.space_of_the_benchmark()
    searcher = Searcher(space, [Objective.parse("accuracy")], seed=seed, strategy=strategy)
    best: list[float] = []
    told = 0
    while len(best) < most:
        (arch,) = searcher.ask(1)
        value = accuracy.get(arch)
        searcher.tell([Trial(told, arch, {} if value is None else {"accuracy": value}, told)])
        told += 1
        if value is not None:
            best.append(max(value, best[-1] if best else value))
    return best


def assistants(numbers: Sequence[str], jobs: int) -> dict[str, dict[Architecture, float]]:
    """Scores of all cells by proxy."""
    space = bench.space_of_the_benchmark()
    found = dict[str, dict[Architecture, float]]()
    for names in (["synflow", "params"], ["gradsign"]):
        scores = bench.scores(numbers, names, images=IMAGES, seed=0, jobs=jobs)
        for name in names:
            found[name] = {bench.architecture(space, n): scores[n]["scores"][name] for n in numbers}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="without assistance, which needs scores of all cells")
    parser.add_argument("--only", nargs="*", help="searchers by their labels, such as 'local + gradsign'")
    words = parser.parse_args()
    space = bench.space_of_the_benchmark()
    accuracy = {bench.architecture(space, row["idx"]): float(row["c10_val_acc_200ep"]) / 100 for row in bench.unique()}
    strategies: dict[str, Strategy] = {
        "random": Random(),
        "evolution 10/3": Evolution(10, 3),
        "evolution 30/10": Evolution(30, 10),
        "local": LocalSearch(10),
    }
    scores = {} if words.alone else assistants(bench.subset(len(accuracy), 0), words.jobs)
    for name, known in scores.items():

        def score(archs: Sequence[Architecture], known: Mapping[Architecture, float] = known) -> list[float]:
            return [known.get(arch, float("nan")) for arch in archs]

        strategies[f"evolution 10/3 + {name}"] = Assisted(
            Evolution(10, 3, offspring=12), score, candidates=10, alone=10
        )
        strategies[f"local + {name}"] = Assisted(LocalSearch(10), score, candidates=10, alone=10)
        strategies[f"random + {name}"] = Assisted(Random(), score, candidates=10)
    for label in words.only or strategies:
        if label not in strategies:
            parser.error(f"no searcher {label!r}; there are: {', '.join(strategies)}")
        strategy = strategies[label]
        curves = 100 * np.array([curve(strategy, accuracy, seed, words.most) for seed in range(words.seeds)])
        values: dict[str, float] = {}
        for i, at in enumerate(n for n in AT if n <= words.most):
            values |= {f"mean_{at}": float(curves[:, at - 1].mean()), f"std_{at}": float(curves[:, at - 1].std(ddof=1))}
            if label in REFERENCE:
                values[f"less_reference_{at}"] = values[f"mean_{at}"] - REFERENCE[label][i]
        rows.append(NAME, {"searcher": label, "seeds": words.seeds, "images": IMAGES}, values)
        print(label, {k: round(v, 3) for k, v in values.items()}, flush=True)


if __name__ == "__main__":
    main()
