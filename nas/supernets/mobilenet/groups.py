"""The channel groups of a MobileNet supernet, in the order in which sorting goes through them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.search_spaces.mobilenet.config import shortcut
from nas.search_spaces.mobilenet.plan import make_divisible
from nas.supernets.groups import Axis, ChannelGroup

if TYPE_CHECKING:
    from nas.supernets.mobilenet.block import ElasticBlock
    from nas.supernets.mobilenet.supernet import MobileNetSupernet


@dataclass(frozen=True, slots=True)
class _Choice:
    """A number that a gene chooses, or that is fixed where there is one choice."""

    gene: str
    values: tuple[int, ...]


@dataclass(slots=True)
class _Group:
    """A group that is being put together: its weights are met one after the other.

    Args:
        name: Of the group.
        choices: What its size depends on.
        size: Channels for one value of each choice.
    """

    name: str
    choices: tuple[_Choice, ...]
    size: Callable[..., int]
    writers: list[Axis] = field(default_factory=list)
    readers: list[Axis] = field(default_factory=list)
    ranked_by: list[Axis] = field(default_factory=list)

    def write(self, *names: str) -> None:
        """Weights that make these channels in their first dimension."""
        self.writers += [Axis(name, 0) for name in names]

    def read(self, name: str, *, ranks: bool = True) -> None:
        """A weight that takes these channels in its second dimension."""
        self.readers.append(Axis(name, 1))
        self.ranked_by += self.readers[-1:] if ranks else []

    def built(self) -> ChannelGroup:
        """The value."""
        genes = tuple(choice.gene for choice in self.choices if len(choice.values) > 1)
        counts = {}
        for at in itertools.product(*(range(len(choice.values)) for choice in self.choices)):
            chosen = tuple(i for i, choice in zip(at, self.choices, strict=True) if len(choice.values) > 1)
            counts[chosen] = self.size(*(choice.values[i] for i, choice in zip(at, self.choices, strict=True)))
        return ChannelGroup(self.name, tuple(self.writers), tuple(self.readers), genes, counts, tuple(self.ranked_by))


def channel_groups(supernet: MobileNetSupernet) -> tuple[ChannelGroup, ...]:
    """Stem, then for each stage what is inside its blocks and its outputs, then head and mix."""
    config = supernet.space.config
    stem = _Group("stem", (_Choice("stem", (config.stem_channels,)),), _itself)
    stem.write("stem.weight", *_norm("stem_norm"))
    groups, into = [stem], stem
    for s, spec in enumerate(config.stages):
        out = _Group(f"stage{s}", (_Choice(f"stage{s}.width", spec.widths),), _itself)
        if shortcut(config, s, 0) == "identity":  # what is added to the stage's outputs are its inputs
            out = into
        for b in range(spec.depths[-1]):
            expansion = _Choice(f"stage{s}.block{b}.expansion", spec.expansions)
            groups += _block(supernet.block(s, b), f"stages.{s}.{b}", into if b == 0 else out, out, expansion)
        groups += [out] if out is not into else []
        into = out
    head = _Group("head", (_Choice("head", (config.head_channels,)),), _itself)
    into.read("head.weight")
    head.write("head.weight", *_norm("head_norm"))
    groups.append(head)
    if supernet.mix is not None:
        mix = _Group("mix", (_Choice("mix", (config.mix_channels,)),), _itself)
        head.read("mix.weight")
        mix.write("mix.weight")
        groups.append(mix)
    groups[-1].read("classifier.weight")
    return tuple(group.built() for group in groups)


def _block(block: ElasticBlock, at: str, into: _Group, out: _Group, expansion: _Choice) -> list[_Group]:
    """What a block does with its inputs and outputs; the groups inside it are returned.

    Without an expand convolution the channels between are the inputs.
    """
    inside, inner = list[_Group](), into
    choices = (*into.choices, expansion)
    if block.expand is not None:
        into.read(f"{at}.expand.weight")
        inner = _Group(f"{at}.expanded", choices, lambda width, ratio: width * ratio)
        inner.write(f"{at}.expand.weight", *_norm(f"{at}.expand_norm"))
        inside.append(inner)
    else:
        into.ranked_by.append(Axis(f"{at}.depthwise.weight", 0))
    inner.write(f"{at}.depthwise.weight", *_norm(f"{at}.depthwise_norm"))
    if block.squeeze is not None:
        inner.read(f"{at}.squeeze.reduce.weight", ranks=False)
        inner.write(f"{at}.squeeze.expand.weight", f"{at}.squeeze.expand.bias")
        hidden = _Group(f"{at}.squeezed", choices, lambda width, ratio: make_divisible(width * ratio // 4))
        hidden.write(f"{at}.squeeze.reduce.weight", f"{at}.squeeze.reduce.bias")
        hidden.read(f"{at}.squeeze.expand.weight")
        inside.append(hidden)
    inner.read(f"{at}.project.weight", ranks=block.expand is not None)
    out.write(f"{at}.project.weight", *_norm(f"{at}.project_norm"))
    if block.shortcut is not None:
        into.read(f"{at}.shortcut.weight", ranks=False)
        out.write(f"{at}.shortcut.weight")
    return inside


def _norm(name: str) -> tuple[str, str]:
    return f"{name}.weight", f"{name}.bias"


def _itself(count: int) -> int:
    return count
