"""Every check and benchmark that wants a GPU, in one command that ends within eight minutes.

Needs torch, numpy and (for images) pillow; no ray, no optuna. Real data are used where NAS_DATA_DIR or ./.carry has
them. Rows go to results/; what does not fit into the time is left for the next start, which skips finished rows.

    python -m benchmarks.gpu_suite
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import rows

NAME = "gpu_suite"
CIFAR = "cifar10:images/cifar10_jpeg.tar.xz"


def exactness(device: str) -> None:
    """Laws 1 and 4 on the device, in fp32 without TF32: extracted and one-hot networks give the slice's logits."""
    from nas.relaxation import Mixture
    from nas.search_spaces import get
    from nas.supernets import build, calibrate

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for preset, size in (("tiny", 8), ("small", 32), ("bignas", 64)):
        space = get("mobilenet", input_size=size, in_channels=3, num_classes=10, preset=preset)
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


def throughput(device: str) -> None:
    """Images a second of a BigNAS step in bf16, on random images, by batch size."""
    from nas.data import ImageData, Preprocessing, Split
    from nas.search_spaces import get
    from nas.supernets import build, train

    generator = torch.Generator().manual_seed(0)
    for size, batch in ((32, 128), (32, 1024), (224, 64)):
        count = batch * 12
        images = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
        split = Split(images, torch.arange(count) % 10)
        names = Preprocessing(size, 3, (0.5,) * 3, (0.25,) * 3, tuple("0123456789"))
        data = ImageData("random images", names, split, split, split, split, flip=True, padding=size // 8)
        space = get("mobilenet", input_size=size, in_channels=3, num_classes=10)
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
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu runs the same checks slowly")
    began = time.monotonic()
    if "NAS_DATA_DIR" not in os.environ and Path(".carry").is_dir():
        os.environ["NAS_DATA_DIR"] = ".carry"
    from benchmarks import inherited_accuracy, overhead

    exactness(options.device)
    throughput(options.device)
    overhead.run(options.device, rounds=9)
    if not (Path(os.environ.get("NAS_DATA_DIR", ".")) / CIFAR.partition(":")[2]).exists():
        print(f"{CIFAR} is not here: training alone and together is left out")
        return
    populations(options.device)
    inherited_accuracy.run_until(CIFAR, options.device, began + options.seconds)
    for row in inherited_accuracy.summary(options.device):
        rows.append(f"{inherited_accuracy.NAME}_summary", {"how": row["how"], "seeds": row["seeds"]}, row,
                    device=options.device)  # fmt: skip
        print(row)


if __name__ == "__main__":
    main()
