"""W-PCA on the 250 FlexiBERT encoders with GLUE scores, beside V-PCA and parameters with and without embeddings.

W-PCA multiplies V-PCA by all parameters; "wpca_without_embeddings" by those outside the embeddings of 30,522 words.
Depth is the number of layers, 2 or 4. Inputs are windows of 128 words of WikiText-2 (validation text), numbered by how
often they occur. Each seed draws the weights and the windows anew; intervals are of 2,000 paired draws of the encoders
with replacement.

    NAS_DATA_DIR=... python -m benchmarks.proxies_flexibert
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from benchmarks import rows
from nas import search_spaces
from nas.data.text.windows import word_windows
from nas.evaluation.tabular.flexibert import flexibert_table
from nas.proxies import vpca
from nas.supernets import network
from nas.task import TextClassification

NAME = "proxies_flexibert"
TABLE, TEXT = Path("nas/flexibert_250.json"), Path("text/wikitext2_valid.txt")
TOKENS, VOCABULARY = 128, 30522
DRAWS = 2000
Values = NDArray[np.float64]


def columns_of(sequences: int, seed: int, count: int, eta: float) -> tuple[dict[str, Values], Values]:
    """Scores by name, and GLUE."""
    space = search_spaces.get("flexibert", task=TextClassification(TOKENS, VOCABULARY, 3))
    table = flexibert_table(space, TABLE)
    tokens, found = word_windows(TEXT, length=TOKENS, vocabulary=VOCABULARY, count=sequences, seed=seed), []
    for arch in list(table)[:count]:
        model = network(space, arch, seed=seed)
        embeddings = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Embedding))
        total = sum(p.numel() for p in model.parameters())
        directions = vpca(model, tokens, eta=eta)
        rest = total - embeddings
        found.append((directions * total, directions * rest, directions, total, rest, len(model.layers)))
        if len(found) % 50 == 0:
            print(f"{len(found)} encoders", flush=True)
    names = ("wpca", "wpca_without_embeddings", "vpca", "params", "params_without_embeddings", "depth")
    truth = np.array([metrics["accuracy"] for metrics in table.values()][:count])
    return dict(zip(names, np.array(found, dtype=np.float64).T, strict=True)), truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encoders", type=int, default=250)
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--eta", type=float, default=0.99)
    parser.add_argument("--threads", type=int, default=1)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    for seed in range(words.seeds):
        columns, truth = columns_of(words.sequences, seed, words.encoders, words.eta)
        rng = np.random.default_rng(seed)
        draws = [rng.integers(len(truth), size=len(truth)) for _ in range(DRAWS)]
        spread = {
            name: np.array([spearmanr(column[drawn], truth[drawn]).statistic for drawn in draws])
            for name, column in columns.items()
        }
        for name, column in columns.items():
            less = spread[name] - spread["params_without_embeddings"]
            less_all = spread[name] - spread["params"]
            values = {
                "spearman": float(spearmanr(column, truth).statistic),
                "kendall": float(kendalltau(column, truth).statistic),
                "spearman_95": np.percentile(spread[name], [2.5, 97.5]).tolist(),
                "less_params_without_embeddings_95": np.percentile(less, [2.5, 97.5]).tolist(),
                "less_params_95": np.percentile(less_all, [2.5, 97.5]).tolist(),
            }
            key = {"proxy": name, "encoders": len(truth), "sequences": words.sequences, "eta": words.eta, "seed": seed}
            rows.append(NAME, key, values)
            print(name, seed, values, flush=True)


if __name__ == "__main__":
    main()
