"""What batch-norm calibration is worth: the smallest sub-network with its own statistics and with the largest's.

Without calibration a sub-network would run on the statistics that training left for the largest network, sliced:
what happens when a supernet keeps one set of running statistics.

    python -m benchmarks.recalibration --data mnist:images/mnist_uint8.npz
"""

from __future__ import annotations

import argparse

import torch

import nas.data
from benchmarks import rows
from nas.evaluation.population.scores import score
from nas.search_spaces import get
from nas.supernets import Statistics, Supernet, build, calibrate, train

NAME = "recalibration"


def sliced(supernet: Supernet, statistics: Statistics) -> Statistics:
    """The largest network's statistics cut to the smallest network's channels."""
    smallest = supernet.space.smallest()
    one = torch.zeros(2, *supernet.space.task.input_shape)
    shapes = calibrate(supernet, [smallest], one)[0].layers
    layers = {name: tuple(v[: len(mean)] for v in statistics.layer(name)) for name, (mean, _) in shapes.items()}
    return Statistics(layers, statistics.images)  # type: ignore[arg-type]  # pairs stay pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist:images/mnist_uint8.npz")
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    data = nas.data.load(options.data, train_images=options.train_images)
    space = get("mobilenet", task=data.task)
    calibration, _ = data.batch("calibration", slice(None))
    for seed in range(3):
        key = {"data": options.data.split(":")[0], "images": options.train_images, "epochs": options.epochs}
        key |= {"seed": seed, "rule": "bignas"}
        if rows.finished(NAME, key, device=options.device) is not None:
            continue
        supernet = build(space, seed=seed)
        train(supernet, data, rule="bignas", epochs=options.epochs, seed=seed, device=options.device)
        supernet.cpu()
        smallest, largest = space.smallest(), space.largest()
        own, biggest = calibrate(supernet, [smallest, largest], calibration)
        accuracies = {
            "smallest_calibrated": score(supernet.extract(smallest, own), data, "test")["accuracy"],
            "smallest_uncalibrated": score(
                supernet.extract(smallest, sliced(supernet, biggest)), data, "test"
            )["accuracy"],
            "largest_calibrated": score(supernet.extract(largest, biggest), data, "test")["accuracy"],
        }  # fmt: skip
        gap = 100 * (accuracies["smallest_calibrated"] - accuracies["smallest_uncalibrated"])
        rows.append(NAME, key, accuracies | {"gap_points": gap}, device=options.device)
        print(key, accuracies, f"gap {gap:.1f} points", flush=True)


if __name__ == "__main__":
    main()
