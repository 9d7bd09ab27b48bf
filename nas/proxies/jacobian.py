"""Proxies of how differently samples are mapped: functions of a `Probe`, higher is better."""

from __future__ import annotations

import torch

from nas.errors import UsageError
from nas.proxies.probe import Probe

K = 1e-5


def jacob_cov(probe: Probe) -> float:
    """-sum over eigenvalues v of the samples' Jacobian correlations of log(v + k) + 1/(v + k) (Mellor et al. 2020).

    Raises:
        UsageError: Fewer than two samples, or integer inputs.
    """
    rows = probe.jacobian
    if len(rows) < 2:
        raise UsageError("jacob_cov correlates samples; give a batch of at least 2")
    values = torch.linalg.eigvalsh(torch.corrcoef(rows.double()))
    return float(-(torch.log(values + K) + 1 / (values + K)).sum())


def epe_nas(probe: Probe) -> float:
    """Sum over classes of |sum of log(|corr| + k)| of the Jacobians of a class (Lopes et al. 2021).

    Raises:
        UsageError: No class with two samples, or integer inputs.
    """
    rows, total, met = probe.jacobian.double(), 0.0, False
    for label in probe.y.unique():
        members = rows[probe.y == label]
        if len(members) > 1:
            met = True
            total += abs(float(torch.log(torch.corrcoef(members).abs() + K).sum()))
    if not met:
        raise UsageError("epe_nas compares samples of a class; give a batch with at least 2 of one")
    return total


def nwot(probe: Probe) -> float:
    """log |det K|, K the number of ReLUs on which two samples agree (Mellor et al. 2021).

    Raises:
        UsageError: The module uses no ReLU.
    """
    if not probe.codes:
        raise UsageError("nwot reads the ReLUs of a module, and this one has none")
    kernel = sum(_agreements(code) for code in probe.codes)
    return float(torch.linalg.slogdet(torch.as_tensor(kernel))[1])


def _agreements(code: torch.Tensor) -> torch.Tensor:
    """[N, N]: on how many units two rows of a code [N, units] agree."""
    c = code.float()
    return (c @ c.T + (1 - c) @ (1 - c).T).double()
