"""Every check and benchmark that wants a GPU, in one command that ends within eight minutes.

Needs torch, numpy and (for images) pillow; no ray, no optuna. Real data are used where NAS_DATA_DIR or ./.carry has
them; kernels are left out where triton is missing. Rows go to results/; what does not fit into the time is left for
the next start, which skips finished rows.

    python -m benchmarks.gpu_suite
    python -m benchmarks.gpu_suite --only sign_kernel gradsign_pass
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import os
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import rows
from nas.task import ImageClassification

NAME = "gpu_suite"
CIFAR = "cifar10:images/cifar10_jpeg.tar.xz"


def without_tf32() -> None:
    """What a check in fp32 needs of torch."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def exactness(device: str) -> None:
    """Laws 1 and 4 on the device, in fp32 without TF32: extracted and one-hot networks give the slice's logits."""
    from nas.relaxation import Mixture
    from nas.search_spaces import get
    from nas.supernets import build, calibrate

    without_tf32()
    for preset, size in (("tiny", 8), ("small", 32), ("bignas", 64)):
        space = get("mobilenet", task=ImageClassification(size, 3, 10), preset=preset)
        supernet = build(space, seed=0).to(device)
        x = torch.randn(64, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
        worst = {"extracted": 0.0, "one_hot": 0.0}
        for arch in space.architectures(space.sample_choices(np.random.default_rng(0), 8)):
            statistics = calibrate(supernet, [arch], x)[0]
            with torch.no_grad():
                expected = supernet.eval()(x, arch, statistics=statistics)
                found = supernet.extract(arch, statistics)(x)
                worst["extracted"] = max(worst["extracted"], float((found - expected).abs().max()))
                expected = supernet.train()(x, arch)
                found = supernet(x, Mixture.one_hot(space, arch))
                worst["one_hot"] = max(worst["one_hot"], float((found - expected).abs().max()))
        assert worst["extracted"] < 1e-4, worst
        assert worst["one_hot"] < 1e-3, worst
        values = {f"max_difference_{name}": value for name, value in worst.items()}
        rows.append(NAME, {"what": "exactness", "preset": preset}, values, device=device)
        print("exactness", preset, values, flush=True)


@dataclass(frozen=True)
class Layer:
    """A square convolution, or with kernel 0 a linear layer with as many positions as `size`."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    size: int

    def tensors(self, samples: int) -> tuple[Tensor, Tensor]:
        """Unset inputs and gradients."""
        if not self.kernel:
            return torch.empty(samples, self.size, self.inputs), torch.empty(samples, self.size, self.outputs)
        after = self.size // self.stride
        return torch.empty(samples, self.inputs, self.size, self.size), torch.empty(samples, self.outputs, after, after)

    def signs(self, x: Tensor, g: Tensor, **how: Any) -> Tensor:
        """The counts; `how`: the keywords `triton` and `tf32`."""
        from nas.kernels.sign_accumulate import conv2d_signs, linear_signs

        if not self.kernel:
            return linear_signs(x, g, **how)
        pairs = {"stride": self.stride, "padding": self.kernel // 2, "dilation": 1}
        settings: dict[str, Any] = {name: (value, value) for name, value in pairs.items()}
        return conv2d_signs(x, g, (self.kernel, self.kernel), groups=1, **settings, **how)


LAYERS = (
    Layer("nasbench201 stem", 3, 16, 3, 1, 32),
    Layer("nasbench201 stage 1", 16, 16, 3, 1, 32),
    Layer("nasbench201 stage 1, 1x1", 16, 16, 1, 1, 32),
    Layer("nasbench201 reduction 1", 16, 32, 3, 2, 32),
    Layer("nasbench201 stage 2", 32, 32, 3, 1, 16),
    Layer("nasbench201 reduction 2", 32, 64, 3, 2, 16),
    Layer("nasbench201 stage 3", 64, 64, 3, 1, 8),
    Layer("bert small, 512 to 2048", 512, 2048, 0, 1, 128),
    Layer("bert small, 2048 to 512", 2048, 512, 0, 1, 128),
)
PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
FLIPPED = {"fp32": 1e-4, "tf32": 1e-3, "bf16": 1e-4}  # most of the signs of random sums, against sums in fp64
EXACT_SAMPLES = 16  # that GradSign is checked on in fp64
CALLS = 5  # between two readings of the clock


def sign_kernel(device: str, samples: int = 128, layers: Sequence[Layer] = LAYERS) -> None:
    """Law 8 for sign_accumulate: exact on integers, near fp64 on random numbers; then time and memory of both ways."""
    from benchmarks.overhead import in_turns

    if importlib.util.find_spec("triton") is None or not (device == "cuda" or "TRITON_INTERPRET" in os.environ):
        print("sign_accumulate's kernel is left out: it needs triton, and a CUDA device or TRITON_INTERPRET=1")
        return
    without_tf32()
    generator = torch.Generator().manual_seed(0)
    for layer in layers:
        whole = [t.copy_(torch.randint(-2, 3, t.shape, generator=generator)) for t in layer.tensors(samples)]
        normal = [t.normal_(generator=generator) for t in layer.tensors(samples)]
        for precision, dtype in PRECISIONS.items():
            kernel: dict[str, Any] = {"triton": True, "tf32": precision == "tf32"}
            x, g = (t.to(device, dtype) for t in whole)
            expected = layer.signs(x, g, triton=False)
            assert layer.signs(x, g, **kernel).equal(expected), f"{layer.name}, {precision}: the kernel is wrong"
            x, g = (t.to(device, dtype) for t in normal)
            expected = layer.signs(x.double(), g.double())
            sides: dict[str, Callable[[], Tensor]] = {
                "kernel": lambda x=x, g=g, how=kernel, layer=layer: layer.signs(x, g, **how),
                "reference": lambda x=x, g=g, layer=layer: layer.signs(x, g, triton=False),
            }
            flipped = {side: flipped_share([call()], [expected], samples) for side, call in sides.items()}
            assert flipped["kernel"] <= FLIPPED[precision], (layer.name, precision, flipped)
            if device != "cuda":
                continue  # how fast an interpreter is says nothing
            repeated: dict[str, Callable[[], object]] = {
                side: lambda call=call: [call() for _ in range(CALLS)] for side, call in sides.items()
            }
            times = [in_turns(device, repeated, rounds=3) for _ in range(3)]
            values = ratios(times, "reference", "kernel")
            values |= {f"{side}_ms": statistics.median(t[side] for t in times) / CALLS * 1e3 for side in sides}
            values |= {f"{side}_flipped_share": share for side, share in flipped.items()}
            values |= {f"{side}_peak_bytes": peak_bytes(call) for side, call in sides.items()}
            key = {"what": "sign_accumulate", "layer": layer.name, "samples": samples, "precision": precision}
            rows.append(NAME, key, values, device=device)
            print(key, values, flush=True)


def gradsign_pass(device: str, samples: int = 128, preset: str = "full") -> None:
    """GradSign in one batched pass against one sample at a time, on NAS-Bench-201's network of 3x3 convolutions."""
    from benchmarks.overhead import in_turns
    from nas.networks.nasbench201 import NasBench201
    from nas.proxies.gradient_signs import gradsign
    from nas.search_spaces.cells import nasbench201

    without_tf32()
    space = nasbench201.build(ImageClassification(32, 3, 10), preset)
    [arch] = space.architectures(np.full((1, len(nasbench201.EDGES)), nasbench201.OPERATIONS.index("nor_conv_3x3")))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = NasBench201(space, arch).to(device)
    x = torch.randn(samples, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(device)
    y = torch.arange(samples, device=device) % 10
    flipped = flipped_by_rounding(network, x[:EXACT_SAMPLES], y[:EXACT_SAMPLES])
    assert flipped["fp64"] < 1e-6, flipped
    assert flipped["together"] <= 2 * flipped["alone"] + 1e-4, flipped
    sides: dict[str, Callable[[], object]] = {
        "together": lambda: gradsign(network, x, y),
        "alone": lambda: one_by_one(network, x, y),
    }
    times = [in_turns(device, sides, rounds=1) for _ in range(3)]
    values = ratios(times, "alone", "together")
    values |= {f"{side}_ms": statistics.median(t[side] for t in times) * 1e3 for side in sides}
    values |= {f"{side}_flipped_share": share for side, share in flipped.items()}
    if device == "cuda":
        activations = activation_bytes(network, x, y)
        peak = peak_bytes(sides["together"])
        values |= {"activations_bytes": activations, "above_activations_bytes": peak - activations}
    key = {"what": "gradsign", "network": "nasbench201, all 3x3", "preset": space.preset, "samples": samples}
    rows.append(NAME, key, values, device=device)
    print(key, values, flush=True)


def flipped_by_rounding(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """Shares of signs that are not those of one sample at a time in fp64.

    Only in fp64 must both ways agree: a hundred layers make enough of rounding to flip signs, one at a time as well.
    """
    from nas.proxies.gradient_signs import sign_counts

    precise = copy.deepcopy(network).double()
    expected = one_by_one(precise, x.double(), y)
    alone, together, fp64 = one_by_one(network, x, y), sign_counts(network, x, y), sign_counts(precise, x.double(), y)
    found = {
        "fp64": [fp64[weight] for weight in expected],
        "together": [together[weight] for weight in alone],
        "alone": list(alone.values()),
    }
    return {name: flipped_share(counts, list(expected.values()), len(x)) for name, counts in found.items()}


def one_by_one(network: nn.Module, x: Tensor, y: Tensor) -> dict[Tensor, Tensor]:
    """The counts of `sign_counts` from one pass a sample, in training mode; batch norms' running statistics move."""
    weights = [part.weight for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    counts = {weight: torch.zeros_like(weight, dtype=torch.int32) for weight in weights}
    network.train()
    for i in range(len(x)):
        loss = nn.functional.cross_entropy(network(x[i : i + 1]), y[i : i + 1])
        for weight, grad in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            counts[weight] += grad.sign().int()
    return counts


def flipped_share(found: Sequence[Tensor], expected: Sequence[Tensor], samples: int) -> float:
    """Of all signs, at least as large as the share that is opposite."""
    differences = sum(float((a - b).abs().sum(dtype=torch.float64)) for a, b in zip(found, expected, strict=True))
    return differences / 2 / samples / sum(a.numel() for a in found)


def ratios(times: Sequence[dict[str, float]], slow: str, fast: str) -> dict[str, float]:
    """How many times as fast: median, lowest and highest of the repetitions."""
    found = [t[slow] / t[fast] for t in times]
    return {"ratio": statistics.median(found), "ratio_low": min(found), "ratio_high": max(found)}


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that a call on CUDA holds beyond what was there."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def activation_bytes(network: nn.Module, x: Tensor, y: Tensor) -> int:
    """What the pass of `gradsign` on CUDA holds between forward and backward."""
    from nas.proxies.probing.per_sample import PerSampleMode
    from nas.proxies.probing.recorder import eval_mode

    def loss(sample: Tensor, label: Tensor) -> Tensor:
        return nn.functional.cross_entropy(network(sample.unsqueeze(0)), label.unsqueeze(0))

    before = torch.cuda.memory_allocated()
    with eval_mode(network), PerSampleMode(network, lambda use: None):
        total = torch.vmap(loss)(x, y).sum()
    held = torch.cuda.memory_allocated() - before
    assert total.requires_grad  # keeps the graph until here
    return held


def throughput(device: str) -> None:
    """Images a second of a BigNAS step in bf16, on random images, by batch size."""
    from nas.data import ImageData, ImagePreprocessing, Split
    from nas.search_spaces import get
    from nas.supernets import build, train

    generator = torch.Generator().manual_seed(0)
    for size, batch in ((32, 128), (32, 1024), (224, 64)):
        count = batch * 12
        images = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
        split = Split(images, torch.arange(count) % 10)
        names = ImagePreprocessing(size, 3, (0.5,) * 3, (0.25,) * 3, tuple("0123456789"))
        data = ImageData("random images", names, split, split, split, split, flip=True, padding=size // 8)
        space = get("mobilenet", task=ImageClassification(size, 3, 10))
        stamps: list[float] = []
        supernet = build(space, seed=0)
        train(
            supernet, data, rule="bignas", epochs=2, batch_size=batch, learning_rate=0.01, device=device,
            progress=lambda _, s=stamps: s.append(time.perf_counter()),
        )  # fmt: skip
        steps = np.diff(stamps[4:])
        key = {"what": "bignas step", "preset": space.preset, "size": size, "batch": batch}
        values = {"median_step_ms": float(np.median(steps)) * 1e3, "images_per_s": batch / float(np.median(steps))}
        rows.append(NAME, key, values, device=device)
        print(key, values, flush=True)


def populations(device: str) -> None:
    """Architectures a second, together against one by one, and equal predictions; on the best supernet trained here."""
    import nas.data
    from benchmarks import population_evaluation as benchmark
    from nas.supernets import build, train

    data = nas.data.load(CIFAR, train_images=benchmark.IMAGES)
    supernet = build(benchmark.benchmark_space(), seed=0)
    train(supernet, data, rule="sandwich", epochs=1, seed=0, device=device)
    for repetition in range(3):
        for side, (seconds, count) in benchmark.on_device(supernet, data, device).items():
            values = {"wall_s": seconds, "architectures_per_s": count / seconds}
            rows.append(NAME, {"what": "population", "side": side, "repetition": repetition}, values, device=device)
            print("population", side, values, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=450, help="when to stop starting new units of work")
    parser.add_argument("--only", nargs="+", choices=list(CHECKS), help="these checks and nothing else")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu runs the same checks slowly")
    began = time.monotonic()
    if "NAS_DATA_DIR" not in os.environ and Path(".carry").is_dir():
        os.environ["NAS_DATA_DIR"] = ".carry"
    failed = [name for name in options.only or CHECKS if not passes(CHECKS[name], options.device)]
    if not options.only:
        training(options.device, began + options.seconds)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def passes(check: Callable[[str], None], device: str) -> bool:
    """Whether it ran; what it raises is printed, so that one failure does not cost the figures of the others."""
    try:
        check(device)
    except Exception:
        traceback.print_exc()
        return False
    return True


def elasticity(device: str) -> None:
    """Elastic networks against plain ones."""
    from benchmarks import overhead

    overhead.run(device, rounds=9)


CHECKS = {
    "exactness": exactness,
    "sign_kernel": sign_kernel,
    "gradsign_pass": gradsign_pass,
    "throughput": throughput,
    "elasticity": elasticity,
}


def training(device: str, until: float) -> None:
    """What a supernet trained here gives; nothing new is started after `until`."""
    from benchmarks import inherited_accuracy

    if not (Path(os.environ.get("NAS_DATA_DIR", ".")) / CIFAR.partition(":")[2]).exists():
        print(f"{CIFAR} is not here: training alone and together is left out")
        return
    populations(device)
    inherited_accuracy.run_until(CIFAR, device, until)
    for row in inherited_accuracy.summary(device):
        rows.append(f"{inherited_accuracy.NAME}_summary", {"how": row["how"], "seeds": row["seeds"]}, row,
                    device=device)  # fmt: skip
        print(row)


if __name__ == "__main__":
    main()
