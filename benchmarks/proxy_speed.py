"""What proxies cost: GradSign against one sample at a time, the family against plain passes, W-PCA against SVD.

All sides in one process, in turns, one thread unless told otherwise; medians over networks, ratios.

* `gradsign`: the batched pass against the loop, over networks of NAS-Bench-201 with CIFAR-10 images, every side once
  before it is timed; and the most memory it takes beyond what one plain forward and backward pass takes.
* `classic`: the eleven classic proxies that need neither second derivatives nor repeats, in forward-backward passes of
  the same network and batch; GraSP by the passes of its formula alone, Zen by its 64 forward passes of 16 images.
* `wpca`: streamed Gram matrices against an SVD of each block's hidden states, with singular vectors (what PCA by SVD
  computes) and without, encoders of FlexiBERT.

    NAS_DATA_DIR=... python -m benchmarks.proxy_speed
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

from benchmarks import nasbench201_scores as bench
from benchmarks import rows
from nas import search_spaces
from nas.proxies import Probe, gradsign, score
from nas.proxies.gradient_signs import one_by_one
from nas.proxies.principal_components import directions, feed_forward_layers, vpca
from nas.supernets import network
from nas.task import TextClassification

NAME = "proxy_speed"
CLASSIC = (
    "params", "macs", "l2_norm", "grad_norm", "snip", "plain", "fisher", "jacob_cov", "epe_nas", "nwot", "synflow",
)  # fmt: skip
ALL_3X3 = ("nor_conv_3x3",) * 6


def timed(act: Callable[[], Any], device: str) -> tuple[Any, float]:
    """What it gives, and seconds."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    began = time.perf_counter()
    found = act()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return found, time.perf_counter() - began


def peak_bytes(act: Callable[[], Any], device: str) -> int:
    """The most memory it takes beyond what is there."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        act()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from now
    before = _status("VmRSS")
    act()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def plain_pass(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Forward and backward of the whole batch, as a training step has them."""
    torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()), allow_unused=True)


def second_order_passes(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """What GraSP's formula asks of autograd, and no more."""
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    loss = F.cross_entropy(model(x), y)
    grads = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    product = torch.stack([(g * g.detach()).sum() for g in grads if g is not None]).sum()
    torch.autograd.grad(product, weights, allow_unused=True)


@torch.no_grad()
def noise_passes(model: nn.Module, x: Tensor) -> None:
    """The forward passes of Zen, and none of its draws."""
    for _ in range(64):
        model(x[:16])


def one_by_one_score(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(sum(count.abs().sum(dtype=torch.float64) for count in one_by_one(model, x, y)[1].values()))


def authors_way(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """One sample a pass in training mode, all gradients kept as one matrix on the CPU, their signs at the end."""
    model.train()
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    kept = []
    for i in range(len(x)):
        grads = torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), weights, allow_unused=True)
        known = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)]
        kept.append(torch.cat([g.flatten().cpu() for g in known]))
    return float(torch.stack(kept).sign().sum(0).abs().sum())


def cells(count: int, seed: int) -> list[str]:
    """The cell of six 3x3 convolutions, and random unique ones."""
    whole = next(number for number, cell in bench.cells().items() if cell == ALL_3X3)
    return [whole, *bench.subset(count - 1, seed)]


def gradsign_rows(count: int, images: int, seed: int, device: str) -> None:
    space, (x, y) = bench.space_of_the_benchmark(), bench.batch(images, seed)
    x, y = x.to(device), y.to(device)
    sides: dict[str, Callable[..., float]] = {"batched": gradsign, "loop": one_by_one_score, "authors": authors_way}
    ratios: dict[str, list[float]] = {"loop": [], "authors": []}
    differences, extra = list[float](), list[int]()
    for number in cells(count, seed):
        model = network(space, bench.architecture(space, number), seed=seed).to(device)
        for act in sides.values():  # the first touch of memory is slow
            act(model, x, y)
        found = {side: timed(partial(act, model, x, y), device) for side, act in sides.items()}
        for side, known in ratios.items():
            known.append(found[side][1] / found["batched"][1])
            differences.append(abs(found["batched"][0] / found[side][0] - 1))
        plain = peak_bytes(partial(plain_pass, model, x, y), device)
        extra.append(peak_bytes(partial(gradsign, model, x, y), device) - plain)
        print(number, {side: round(s, 3) for side, (_, s) in found.items()}, f"{extra[-1] / 1e6:.0f} MB", flush=True)
    key = {"figure": "gradsign", "networks": count, "images": images, "seed": seed, "threads": torch.get_num_threads()}
    values = {
        "times_loop": statistics.median(ratios["loop"]), "least_times_loop": min(ratios["loop"]),
        "times_authors_way": statistics.median(ratios["authors"]), "max_relative_difference": max(differences),
        "most_bytes_beyond_plain_pass": max(extra),
    }  # fmt: skip
    rows.append(NAME, key, values, device=device)
    print("gradsign", seed, values, flush=True)


def classic_rows(count: int, images: int, seed: int, device: str) -> None:
    space, (x, y) = bench.space_of_the_benchmark(), bench.batch(images, seed)
    x, y = x.to(device), y.to(device)
    passes: dict[str, list[float]] = {"classic": [], "grasp": [], "zen": []}
    floors: dict[str, list[float]] = {"grasp": [], "zen": []}
    for number in cells(count, seed):
        model = network(space, bench.architecture(space, number), seed=seed).to(device).train()

        def scored(*names: str, model: nn.Module = model) -> None:
            with Probe(model, x, y) as probe:
                score(probe, names)

        plain_pass(model, x, y)
        plain = min(timed(partial(plain_pass, model, x, y), device)[1] for _ in range(2))
        passes["classic"].append(min(timed(partial(scored, *CLASSIC), device)[1] for _ in range(2)) / plain)
        alone = {"grasp": partial(second_order_passes, model, x, y), "zen": partial(noise_passes, model, x)}
        for name, floor in alone.items():
            least = min(timed(floor, device)[1] for _ in range(2))
            taken = min(timed(partial(scored, name), device)[1] for _ in range(2))
            passes[name].append(taken / plain)
            floors[name].append(taken / least)
        print(number, *({k: round(v[-1], 2) for k, v in found.items()} for found in (passes, floors)), flush=True)
    rows.append(
        NAME,
        {"figure": "classic", "networks": count, "images": images, "seed": seed, "threads": torch.get_num_threads()},
        {f"{name}_passes": statistics.median(found) for name, found in passes.items()}
        | {f"{name}_times_floor": statistics.median(found) for name, found in floors.items()}
        | {"most_classic_passes": max(passes["classic"])},
        device=device,
    )
    print("classic", seed, {name: statistics.median(found) for name, found in passes.items()}, flush=True)


def by_svd(model: nn.Module, tokens: Tensor, eta: float, *, vectors: bool) -> float:
    """All hidden states kept, one SVD a block."""
    kept: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _m, _a, output: kept.append(output.flatten(0, -2)))
        for layer in feed_forward_layers(model)
    ]
    with torch.no_grad():
        model.eval()(tokens)
    for hook in hooks:
        hook.remove()
    total = 0
    for hidden in kept:
        centred = hidden - hidden.mean(0)
        values = torch.linalg.svd(centred, full_matrices=False)[1] if vectors else torch.linalg.svdvals(centred)
        total += directions(values**2 / (len(hidden) - 1), eta)
    return float(total)


def wpca_rows(count: int, sequences: int, seed: int, device: str) -> None:
    space = search_spaces.get("flexibert", task=TextClassification(128, 30522, 3))
    tokens = torch.randint(0, 30522, (sequences, 128), generator=torch.Generator().manual_seed(seed)).to(device)
    sides: dict[str, Callable[[nn.Module], Any]] = {
        "streamed": lambda model: vpca(model, tokens),
        "svd": lambda model: by_svd(model, tokens, 0.99, vectors=True),
        "values_alone": lambda model: by_svd(model, tokens, 0.99, vectors=False),
        "forward": torch.no_grad()(lambda model: model(tokens)),
    }
    ratios: dict[str, list[float]] = {side: [] for side in sides if side != "streamed"}
    differences = list[float]()
    for arch in space.architectures(space.sample_choices(np.random.default_rng(seed), count)):
        model = network(space, arch, seed=seed).to(device).eval()
        sides["values_alone"](model)
        found = {side: timed(partial(act, model), device) for side, act in sides.items()}
        for side, known in ratios.items():
            known.append(found[side][1] / found["streamed"][1])
        differences += [abs(found["streamed"][0] - found[side][0]) for side in ("svd", "values_alone")]
        print({side: round(s, 3) for side, (_, s) in found.items()}, found["streamed"][0], flush=True)
    key = {
        "figure": "wpca",
        "networks": count,
        "sequences": sequences,
        "seed": seed,
        "threads": torch.get_num_threads(),
    }
    values = {
        "times_svd": statistics.median(ratios["svd"]), "least_times_svd": min(ratios["svd"]),
        "times_singular_values_alone": statistics.median(ratios["values_alone"]),
        "share_of_forward": statistics.median(ratios["forward"]), "max_difference": max(differences),
    }  # fmt: skip
    rows.append(NAME, key, values, device=device)
    print("wpca", seed, values, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--figures", default="gradsign,classic,wpca")
    parser.add_argument("--device", default="cpu")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    for seed in range(words.seeds):
        if "gradsign" in words.figures:
            gradsign_rows(words.networks, words.images, seed, words.device)
        if "classic" in words.figures:
            classic_rows(words.networks, words.images, seed, words.device)
        if "wpca" in words.figures:
            wpca_rows(words.networks, words.sequences, seed, words.device)


if __name__ == "__main__":
    main()
