"""A pool of workers that each score untrained networks by proxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.cluster.pool import RayEvaluator
from nas.evaluation.proxy_evaluator import ProxyEvaluator
from nas.proxies.proxy import ProxyLike
from nas.search_spaces import SearchSpace, from_json


def build_proxy_evaluator(
    space: dict[str, Any],
    proxies: Sequence[ProxyLike],
    x: NDArray[Any],
    y: NDArray[Any],
    device: str,
    seed: int,
) -> ProxyEvaluator:
    """A `ProxyEvaluator`, in a worker; `space` is what `space.to_json()` gave, all else as for `ProxyEvaluator`."""
    images, classes = torch.from_numpy(np.array(x)), torch.from_numpy(np.array(y))
    return ProxyEvaluator(from_json(space), proxies, images, classes, device=device, seed=seed)


def proxy_pool(
    space: SearchSpace,
    proxies: Sequence[ProxyLike],
    x: Tensor,
    y: Tensor,
    *,
    workers: int,
    address: str | None = None,
    device: str = "cpu",
    cpus: float = 1.0,
    gpus: float | None = None,
    seed: int = 0,
    batch: int = 8,
) -> RayEvaluator:
    """Workers that score architectures by proxies; the batch travels once.

    Args:
        space: Whose members.
        proxies: As for `ProxyEvaluator`, as are inputs and classes.
        x: Inputs [N, ...].
        y: Classes [N].
        workers: How many processes.
        address: The Ray cluster; None takes one that is there, or starts one here.
        device: Of each worker, "cpu" or "cuda".
        cpus: CPUs of each worker.
        gpus: GPUs of each worker; None: 1 where the device is "cuda", else 0. Fractions share one.
        seed: Of weights and of what proxies draw.
        batch: Most architectures that a worker is asked for at once.

    Raises:
        UnknownName: No such proxy.
        UsageError: A proxy that ranks sets, or what `RayEvaluator` raises.
    """
    ProxyEvaluator(space, proxies, x, y, seed=seed)  # refuses before a worker starts
    arguments: dict[str, object] = {
        "space": space.to_json(), "proxies": list(proxies), "x": x.cpu().numpy(), "y": y.cpu().numpy(),
        "device": device, "seed": seed,
    }  # fmt: skip
    gpus = float(device.startswith("cuda")) if gpus is None else gpus
    return RayEvaluator(
        build_proxy_evaluator, arguments, workers=workers, address=address, cpus=cpus, gpus=gpus, batch=batch
    )
