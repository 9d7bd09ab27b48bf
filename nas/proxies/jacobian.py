"""Proxies of how differently samples are mapped; higher is better."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.proxies.probing.probe import Probe
from nas.proxies.proxy import Proxy, score_metric

K = 1e-5
SWAP_SAMPLES = 16


def jacob_cov(probe: Probe) -> float:
    """-sum over eigenvalues v of the samples' Jacobian correlations of log(v + k) + 1/(v + k) (Mellor et al. 2020).

    NaN where the gradient of a sample is constant, as in a network that ignores its input.

    Raises:
        UsageError: Fewer than two samples, or integer inputs.
    """
    _several(probe, "jacob_cov")
    correlations = torch.corrcoef(probe.jacobian.double())
    if not bool(correlations.isfinite().all()):  # of a sample whose gradient is constant there is none
        return math.nan
    values = torch.linalg.eigvalsh(correlations)
    return float(-(torch.log(values + K) + 1 / (values + K)).sum())


def epe_nas(probe: Probe) -> float:
    """Sum over classes of |sum of log(|corr| + k)| of the Jacobians of a class (Lopes et al. 2021).

    The paper's rule for at most 100 classes, here for any number.

    Raises:
        UsageError: No class with two samples, or integer inputs.
    """
    rows, total, met = probe.jacobian.double(), 0.0, False
    for label in torch.unique(probe.y):
        members = rows[probe.y == label]
        if len(members) > 1:
            met = True
            total += abs(float(torch.log(torch.corrcoef(members).abs() + K).sum()))
    if not met:
        raise UsageError("epe_nas compares samples of a class; give a batch with at least 2 of one")
    return total


def nwot(probe: Probe) -> float:
    """Log |det K|, K_ij the number of nonlinearities on which samples i and j agree (Mellor et al. 2021).

    Raises:
        UsageError: Fewer than two samples, or nothing that switches.
    """
    _several(probe, "nwot")
    if not probe.record.finite:
        return math.nan
    kernel = sum(_agreements(code) for code in _codes(probe, "nwot"))
    return float(torch.linalg.slogdet(torch.as_tensor(kernel))[1])


def swap(probe: Probe) -> float:
    """How many different patterns over the first 16 samples single nonlinearities show (Peng et al. 2024).

    Raises:
        UsageError: Fewer than two samples, or nothing that switches.
    """
    _several(probe, "swap")
    if not probe.record.finite:
        return math.nan
    patterns = []
    for code in _codes(probe, "swap"):
        bits = code[:SWAP_SAMPLES]
        places = 2 ** torch.arange(len(bits), device=bits.device)
        patterns.append(torch.unique((bits * places[:, None]).sum(0)))
    return float(len(torch.unique(torch.cat(patterns))))


def linear_regions(probe: Probe) -> float:
    """How many different patterns the samples show over all nonlinearities, at most N (TE-NAS: Chen et al. 2021).

    Raises:
        UsageError: Fewer than two samples, or nothing that switches.
    """
    _several(probe, "linear_regions")
    if not probe.record.finite:
        return math.nan
    kernel = torch.as_tensor(sum(_agreements(code) for code in _codes(probe, "linear_regions")))
    same = kernel == kernel.diagonal()[:, None]
    return float(len(torch.unique(same, dim=0)))


def _agreements(code: Tensor) -> Tensor:
    """[N, N]: on how many units two rows of a code [N, units] agree."""
    c = code.float()
    on, both = c.sum(1).double(), (c @ c.T).double()
    return code.shape[1] - on[:, None] - on[None, :] + 2 * both


def _codes(probe: Probe, proxy: str) -> list[Tensor]:
    codes = probe.record.codes
    if not codes:
        raise UsageError(f"{proxy} reads nonlinearities that switch, such as ReLU, and this module has none")
    return codes


def _several(probe: Probe, proxy: str) -> None:
    if len(probe.x) < 2:
        raise UsageError(f"{proxy} compares samples; give a batch of at least 2")


JACOB_COV = Proxy(score_metric("jacob_cov"), jacob_cov, needs="real_inputs")
EPE_NAS = Proxy(score_metric("epe_nas"), epe_nas, needs="real_inputs")
NWOT = Proxy(score_metric("nwot"), nwot)
SWAP = Proxy(score_metric("swap"), swap)
LINEAR_REGIONS = Proxy(score_metric("linear_regions"), linear_regions)
