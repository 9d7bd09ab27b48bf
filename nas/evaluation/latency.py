"""Latency, measured on this device. Loads torch on use."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.evaluation.evaluator import Metrics
from nas.objectives import Metric
from nas.search_spaces import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.supernets import Supernet
    from nas.task import Task

LATENCY = Metric("latency_ms", "min", label="latency", unit="ms", column="ms")


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall time of one forward pass.

    Args:
        median_ms: Median over the measured passes.
        low_ms, high_ms: 10th and 90th percentile.
        passes: Measured passes.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    passes: int


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Run with `count` threads, then with as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure_latency(
    network: nn.Module,
    task: Task,
    *,
    batch: int = 1,
    threads: int | None = None,
    device: str = "cpu",
    warm_up: int = 5,
    passes: int = 30,
) -> Latency:
    """Time a network in eval mode on made-up inputs.

    Args:
        network: A plain network; stays on `device` in eval mode, channels last.
        task: What its inputs look like.
        batch: Inputs a pass.
        threads: Threads while measuring; None keeps the present number, which is restored in any case.
        device: "cpu" or "cuda".
        warm_up: Passes before the clock starts.
        passes: Measured passes.

    Raises:
        UsageError: A count is not positive.
    """
    import torch

    if batch < 1 or passes < 1 or (threads is not None and threads < 1):
        raise UsageError(f"batch, threads and passes must be at least 1, got {batch}, {threads} and {passes}")
    network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    x = task.example(batch, generator=torch.Generator().manual_seed(0)).to(device)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    # Not around `to`: parameters that move in inference mode could never be trained again.
    with torch.inference_mode(), _threads(threads):
        for _ in range(warm_up):
            network(x)
        times = [_timed(network, x, device) for _ in range(passes)]
    times.sort()
    return Latency(statistics.median(times), times[len(times) // 10], times[(len(times) * 9) // 10], len(times))


def _timed(network: nn.Module, x: Tensor, device: str) -> float:
    import torch

    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    network(x)
    if cuda:
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) * 1e3


class LatencyEvaluator:
    """Measures `latency_ms` (median) of architectures as plain networks on this device.

    Args:
        supernet: Where the networks come from.
        batch: Images a pass.
        threads: Threads while measuring; None keeps the present number.
        device: "cpu" or "cuda".
    """

    def __init__(self, supernet: Supernet, *, batch: int = 1, threads: int | None = None, device: str = "cpu") -> None:
        self._supernet, self._batch, self._threads, self._device = supernet, batch, threads, device

    def measure(self, arch: Architecture) -> Latency:
        """Latency of one architecture."""
        network = self._supernet.extract(arch)
        return measure_latency(
            network, self._supernet.space.task, batch=self._batch, threads=self._threads, device=self._device
        )

    def evaluate(self, archs: Sequence[Architecture]) -> list[Metrics]:
        """`latency_ms` of each architecture; identical ones are measured once."""
        unique = {arch: self.measure(arch).median_ms for arch in dict.fromkeys(archs)}
        return [{LATENCY.name: unique[arch]} for arch in archs]
