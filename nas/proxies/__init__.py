"""Zero-shot scores: functions of a module and a batch, without training.

What cannot be scored is NaN or infinite; wherever networks are compared it counts as the worst. Names are resolved on
use: what exists can be read without torch.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from nas.errors import UnknownName, UsageError
from nas.search_spaces import COSTS

if TYPE_CHECKING:
    from nas.proxies.correlation import Agreement, agreement
    from nas.proxies.gradient_signs import gradsign
    from nas.proxies.principal_components import vpca, wpca
    from nas.proxies.probing.probe import Probe
    from nas.proxies.proxy import Proxy, ProxyLike
    from nas.proxies.ranking import aggregate, ranks

__all__ = [
    "BASELINES",
    "COMBINED",
    "PROXIES",
    "SCORES",
    "Agreement",
    "Probe",
    "Proxy",
    "aggregate",
    "agreement",
    "get",
    "gradsign",
    "names",
    "parts_of",
    "ranks",
    "resolve",
    "score",
    "vpca",
    "wpca",
]

# Where each proxy is declared. A new one is a function with its `Proxy` in a family's file, and a line here.
PROXIES: Mapping[str, str] = {
    "params": "nas.proxies.counts:PARAMS_PROXY",
    "macs": "nas.proxies.counts:MACS_PROXY",
    "gradsign": "nas.proxies.gradient_signs:GRADSIGN",
    "wpca": "nas.proxies.principal_components:WPCA",
    "vpca": "nas.proxies.principal_components:VPCA",
    "synflow": "nas.proxies.data_free:SYNFLOW",
    "snip": "nas.proxies.gradients:SNIP",
    "grasp": "nas.proxies.gradients:GRASP",
    "fisher": "nas.proxies.gradients:FISHER",
    "grad_norm": "nas.proxies.gradients:GRAD_NORM",
    "jacob_cov": "nas.proxies.jacobian:JACOB_COV",
    "epe_nas": "nas.proxies.jacobian:EPE_NAS",
    "nwot": "nas.proxies.jacobian:NWOT",
    "zen": "nas.proxies.data_free:ZEN",
    "l2_norm": "nas.proxies.gradients:L2_NORM",
    "plain": "nas.proxies.gradients:PLAIN",
    "zico": "nas.proxies.gradients:ZICO",
    "meco": "nas.proxies.data_free:MECO",
    "swap": "nas.proxies.jacobian:SWAP",
    "ntk_condition": "nas.proxies.ntk:NTK_CONDITION",
    "linear_regions": "nas.proxies.jacobian:LINEAR_REGIONS",
    "az_expressivity": "nas.proxies.az_nas:AZ_EXPRESSIVITY",
    "az_progressivity": "nas.proxies.az_nas:AZ_PROGRESSIVITY",
    "az_trainability": "nas.proxies.az_nas:AZ_TRAINABILITY",
}

# Rankings of a set of networks by several proxies, see `aggregate`.
COMBINED: Mapping[str, tuple[str, ...]] = {
    "te_nas": ("ntk_condition", "linear_regions"),
    "az_nas": ("az_expressivity", "az_progressivity", "az_trainability", "macs"),
}

BASELINES = tuple(cost.name for cost in COSTS)  # printed beside every proxy
SCORES = tuple(name for name in PROXIES if name not in BASELINES)

_HOMES = {
    "Agreement": "correlation",
    "Probe": "probing.probe",
    "Proxy": "proxy",
    "aggregate": "ranking",
    "agreement": "correlation",
    "gradsign": "gradient_signs",
    "ranks": "ranking",
    "vpca": "principal_components",
    "wpca": "principal_components",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"nas.proxies.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nas.proxies' has no attribute {name!r}")


def names() -> list[str]:
    """All proxies, those that rank sets among them."""
    return [*PROXIES, *COMBINED]


def get(name: str) -> Proxy:
    """The proxy called `name`.

    >>> import torch
    >>> x, y = torch.randn(8, 3), torch.arange(8) % 2
    >>> get("snip")(torch.nn.Linear(3, 2), x, y) > 0
    True

    Raises:
        UnknownName: There is none.
        UsageError: It ranks sets; names its parts.
    """
    if name in COMBINED:
        raise UsageError(
            f"{name} ranks a set of networks and scores none alone; take its parts {', '.join(COMBINED[name])}, "
            "and nas.proxies.aggregate for the ranking"
        )
    if name not in PROXIES:
        raise UnknownName("proxy", name, names())
    module, _, constant = PROXIES[name].partition(":")
    proxy: Proxy = getattr(import_module(module), constant)
    return proxy


def resolve(wanted: Iterable[ProxyLike]) -> list[Proxy]:
    """The proxies that are asked for, each once.

    Args:
        wanted: Names, `Proxy` objects, or functions of a module, inputs and classes.

    Raises:
        UnknownName: There is no such proxy.
        UsageError: A name of those that rank sets, a function without a name, or two proxies with the same one.
    """
    from nas.proxies.proxy import Proxy, from_function

    by_name = dict[str, Proxy]()
    for item in wanted:
        proxy = item if isinstance(item, Proxy) else get(item) if isinstance(item, str) else from_function(item)
        if by_name.setdefault(proxy.name, proxy) is not proxy:
            raise UsageError(f"two proxies are called {proxy.name!r}; give one of them another name")
    return list(by_name.values())


def parts_of(wanted: Iterable[str]) -> list[str]:
    """What has to be scored for these names: the parts of those that rank sets, each once.

    Raises:
        UnknownName: There is no such proxy.
    """
    parts: dict[str, None] = {}
    for name in wanted:
        if name not in PROXIES and name not in COMBINED:
            raise UnknownName("proxy", name, names())
        parts |= dict.fromkeys(COMBINED.get(name, (name,)))
    return list(parts)


def score(probe: Probe, wanted: Iterable[ProxyLike]) -> tuple[dict[str, float], dict[str, float]]:
    """Several proxies of one probe, with what they share done once.

    Args:
        probe: The module and its batch.
        wanted: As for `resolve`.

    Returns:
        The scores by name, and seconds each took; what is shared counts for the first that needs it.

    Raises:
        UnknownName: There is no such proxy.
        UsageError: A proxy cannot take this module, or what `resolve` raises.
    """
    scores, seconds = dict[str, float](), dict[str, float]()
    for proxy in resolve(wanted):
        began = time.perf_counter()
        scores[proxy.name] = proxy.score(probe)  # a float, so that a GPU has finished
        seconds[proxy.name] = time.perf_counter() - began
    return scores, seconds
