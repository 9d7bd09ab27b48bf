"""Every family of networks, one line each: where its space, networks and supernet are, as names resolved on use.

The only file that knows families by name. What it names may lie in any part of the package, and is loaded when asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from nas.errors import UnknownName
from nas.task import Task


class Preset(Protocol):
    """A ready-made configuration of a space."""

    @property
    def summary(self) -> str:
        """One line for people."""

    @property
    def task(self) -> Task:
        """What it is shown with."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of networks; each name is "module:attribute".

    Args:
        space: The class of its spaces, with `from_json`.
        build: `(task or None, preset or None) -> space`.
        presets: By name, see `Preset`.
        network: `(space, arch) -> module`: the plain network of one architecture, which extraction fills and exports
            rebuild; its weights are drawn from torch's own generator.
        fresh: `(space, arch) -> module`: the same with the weights that training starts from, drawn from torch's own
            generator; None where `network` has them.
        supernet: `(space, *, seed) -> Supernet`; None where networks share no weights.
    """

    space: str
    build: str
    presets: str
    network: str
    fresh: str | None = None
    supernet: str | None = None


FAMILIES: Mapping[str, Family] = {
    "mobilenet": Family(
        space="nas.search_spaces.mobilenet.space:MobileNetSpace",
        build="nas.search_spaces.mobilenet.presets:build",
        presets="nas.search_spaces.mobilenet.presets:PRESETS",
        network="nas.networks.mobilenet:build",
        fresh="nas.supernets.mobilenet.supernet:fresh",
        supernet="nas.supernets.mobilenet.supernet:MobileNetSupernet",
    ),
    "nasbench201": Family(
        space="nas.search_spaces.cells.nasbench201:NasBench201Space",
        build="nas.search_spaces.cells.nasbench201:build",
        presets="nas.search_spaces.cells.nasbench201:PRESETS",
        network="nas.networks.nasbench201:NasBench201",
    ),
    "flexibert": Family(
        space="nas.search_spaces.transformers.flexibert:FlexiBertSpace",
        build="nas.search_spaces.transformers.flexibert:build",
        presets="nas.search_spaces.transformers.flexibert:PRESETS",
        network="nas.networks.flexibert:FlexiBert",
    ),
}


def family(name: str) -> Family:
    """The family of a space, by the space's name.

    Raises:
        UnknownName: No such space.
    """
    if name not in FAMILIES:
        raise UnknownName("space", name, FAMILIES)
    return FAMILIES[name]


def resolve(name: str) -> Any:
    """What "module:attribute" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
