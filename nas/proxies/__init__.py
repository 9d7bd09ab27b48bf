"""Zero-shot scores: functions of a module and a batch, without training.

What cannot be scored is NaN or infinite; wherever networks are compared it counts as the worst.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor, nn

from nas.errors import UnknownName, UsageError
from nas.objectives import COMBINED
from nas.proxies.agreement import Agreement, agreement
from nas.proxies.az_nas import az_expressivity, az_progressivity, az_trainability
from nas.proxies.counts import macs, params
from nas.proxies.data_free import meco, synflow, zen
from nas.proxies.gradients import fisher, grad_norm, grasp, l2_norm, plain, snip, zico
from nas.proxies.gradsign import gradsign
from nas.proxies.jacobian import epe_nas, jacob_cov, linear_regions, nwot, swap
from nas.proxies.ntk import ntk_condition
from nas.proxies.probe import Probe
from nas.proxies.ranks import aggregate, ranks
from nas.proxies.wpca import vpca, wpca

__all__ = [
    "BASELINES",
    "COMBINED",
    "FOR_REAL_INPUTS",
    "FOR_TRANSFORMERS",
    "PROXIES",
    "Agreement",
    "Probe",
    "aggregate",
    "agreement",
    "get",
    "gradsign",
    "names",
    "parts_of",
    "ranks",
    "score",
    "vpca",
    "wpca",
]

Score = Callable[[Probe], float]
Proxy = Callable[[nn.Module, Tensor, Tensor], float]

BASELINES = ("params", "macs")  # printed beside every proxy
FOR_TRANSFORMERS = ("wpca", "vpca")
FOR_REAL_INPUTS = (
    "synflow",
    "jacob_cov",
    "epe_nas",
    "meco",
    "zen",
    "az_expressivity",
    "az_progressivity",
    "az_trainability",
)

PROXIES: Mapping[str, Score] = {
    "params": params,
    "macs": macs,
    "gradsign": lambda probe: gradsign(probe.model, probe.x, probe.y, mask=probe.mask),
    "wpca": lambda probe: wpca(probe.model, probe.arguments, mask=probe.mask),
    "vpca": lambda probe: vpca(probe.model, probe.arguments, mask=probe.mask),
    "synflow": synflow,
    "snip": snip,
    "grasp": grasp,
    "fisher": fisher,
    "grad_norm": grad_norm,
    "jacob_cov": jacob_cov,
    "epe_nas": epe_nas,
    "nwot": nwot,
    "zen": zen,
    "l2_norm": l2_norm,
    "plain": plain,
    "zico": zico,
    "meco": meco,
    "swap": swap,
    "ntk_condition": ntk_condition,
    "linear_regions": linear_regions,
    "az_expressivity": az_expressivity,
    "az_progressivity": az_progressivity,
    "az_trainability": az_trainability,
}


def names() -> list[str]:
    """All proxies, those that rank sets among them."""
    return [*PROXIES, *COMBINED]


def get(name: str) -> Proxy:
    """The proxy called `name`, as a function of a module, inputs [N, ...] and classes [N].

    Raises:
        UnknownName: There is none.
        UsageError: It ranks sets; names its parts.
    """
    if name in COMBINED:
        raise UsageError(f"{name} ranks a set of networks by {', '.join(COMBINED[name])}; see nas.proxies.aggregate")
    if name not in PROXIES:
        raise UnknownName("proxy", name, names())

    def proxy(model: nn.Module, x: Tensor, y: Tensor) -> float:
        """The score of a module on inputs [N, ...] and classes [N]."""
        with Probe(model, x, y) as probe:
            return PROXIES[name](probe)

    return proxy


def parts_of(wanted: Iterable[str]) -> list[str]:
    """What has to be scored for these names: the parts of those that rank sets, each once.

    Raises:
        UnknownName: There is no such proxy.
    """
    found: dict[str, None] = {}
    for name in wanted:
        if name not in PROXIES and name not in COMBINED:
            raise UnknownName("proxy", name, names())
        found |= dict.fromkeys(COMBINED.get(name, (name,)))
    return list(found)


def score(probe: Probe, wanted: Iterable[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Several proxies of one probe, with what they share done once.

    Args:
        probe: The module and its batch.
        wanted: Names, see `parts_of`.

    Returns:
        The scores, and seconds each took; what is shared counts for the first that needs it.

    Raises:
        UnknownName: There is no such proxy.
        UsageError: A proxy cannot take this module.
    """
    found, seconds = dict[str, float](), dict[str, float]()
    for name in parts_of(wanted):
        began = time.perf_counter()
        found[name] = PROXIES[name](probe)  # a float, so that a GPU has finished
        seconds[name] = time.perf_counter() - began
    return found, seconds
