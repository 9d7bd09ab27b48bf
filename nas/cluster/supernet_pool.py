"""A pool of workers that each hold a supernet and its data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nas.cluster.pool import RayEvaluator
from nas.data import Dataset
from nas.evaluation.population.evaluator import Precision, SupernetEvaluator
from nas.evaluation.population.memory_budget import default_budget
from nas.evaluation.population.trie import marginal_macs
from nas.supernets import StoredSupernet, Supernet, rebuild


def build_supernet_evaluator(
    description: dict[str, Any],
    weights: Mapping[str, NDArray[Any]],
    data: Dataset,
    split: Literal["validation", "test"],
    device: str,
    budget_bytes: int | None,
    share: float,
    precision: Precision,
) -> SupernetEvaluator:
    """A `SupernetEvaluator`, in a worker.

    Args:
        description: What `supernet.describe()` gave.
        weights: The supernet's state, by name.
        data: The images; only calibration and the split are looked at.
        split: What to score on.
        device: "cpu" or "cuda".
        budget_bytes: Of each worker; None as for `SupernetEvaluator`, from the worker's share of its machine.
        share: GPUs of the worker on CUDA, else its CPUs.
        precision: Of convolutions and linear layers.

    Raises:
        NasError: The parts do not fit together.
    """
    supernet = rebuild(description)
    supernet.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    if budget_bytes is None:
        there = 1 if device.startswith("cuda") else os.cpu_count() or 1
        budget_bytes = default_budget(device, min(1.0, share / there))
    return SupernetEvaluator(supernet, data, split=split, device=device, budget_bytes=budget_bytes, precision=precision)


def supernet_pool(
    supernet: StoredSupernet | Supernet,
    data: Dataset,
    *,
    workers: int,
    split: Literal["validation", "test"] = "validation",
    address: str | None = None,
    device: str = "cpu",
    cpus: float = 1.0,
    gpus: float | None = None,
    batch: int = 8,
    threads: int | None = None,
    budget_bytes: int | None = None,
    precision: Precision = "float32",
    patience_s: float = 60.0,
) -> RayEvaluator:
    """Workers that score architectures by the weights they inherit; each holds the supernet and its images.

    Weights and images travel once. The weights are those of now: make a new pool when they have changed.

    Args:
        supernet: The shared weights.
        data: The images.
        workers: How many processes.
        split: As for `SupernetEvaluator`.
        address: The Ray cluster; None takes one that is there, or starts one here.
        device: Of each worker, "cpu" or "cuda".
        cpus: CPUs of each worker.
        gpus: GPUs of each worker; None: 1 where the device is "cuda", else 0. Fractions share one.
        batch: Most architectures that a worker is asked for at once.
        threads: Of torch in each worker; None: as many as it has CPUs.
        budget_bytes: Of each worker; None as for `SupernetEvaluator`, from its share of its machine.
        precision: As for `SupernetEvaluator`.
        patience_s: How long to wait while no worker at all finds a place.

    Raises:
        UsageError: The data do not fit the supernet, or what `RayEvaluator` raises.
    """
    network = supernet.supernet if isinstance(supernet, StoredSupernet) else supernet
    network.space.task.require(data.task, what="the data")
    gpus = float(device.startswith("cuda")) if gpus is None else gpus
    arguments: dict[str, object] = {
        "description": network.describe(),
        "weights": {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()},
        "data": data.only(("calibration", split)),
        "split": split,
        "device": device,
        "budget_bytes": budget_bytes,
        "share": gpus if device.startswith("cuda") else cpus,
        "precision": precision,
    }
    return RayEvaluator(
        build_supernet_evaluator, arguments, workers=workers, address=address, cpus=cpus,
        gpus=gpus, batch=batch, threads=threads, costs=partial(marginal_macs, network), patience_s=patience_s,
    )  # fmt: skip
