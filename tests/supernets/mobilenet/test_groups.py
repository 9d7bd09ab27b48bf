from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.search_spaces import get
from nas.search_spaces.mobilenet.plan import make_divisible
from nas.search_spaces.mobilenet.space import MobileNetSpace
from nas.supernets import MobileNetSupernet
from nas.supernets.groups import sort_channels
from nas.supernets.rules.samplers import ElasticChoices
from nas.task import ImageClassification
from nas.testing.subnetworks import randomise
from tests.spaces import BASE, SPACES, space

WIDE_FIXED = space(
    replace(
        BASE,
        stages=(replace(BASE.stages[0], expansions=(1,)), replace(BASE.stages[1], expansions=(1,))),
        transition_shortcuts=True,
    )
)
ALL = {**SPACES, "no expansion": WIDE_FIXED}


def randomised(space: MobileNetSpace) -> MobileNetSupernet:
    supernet = MobileNetSupernet(space, seed=0)
    randomise(supernet)
    return supernet


def sort(supernet: MobileNetSupernet, open_choices: ElasticChoices) -> None:
    lowest = open_choices.lowest(supernet.space).tolist()
    sort_channels(supernet, supernet.groups, dict(zip(supernet.space.names, lowest, strict=True)))


@pytest.mark.parametrize("kind", sorted(ALL))
def test_every_channel_axis_is_in_one_group(kind: str) -> None:
    """But for the images' channels, the classes, and the one input channel of depthwise kernels."""
    supernet = MobileNetSupernet(ALL[kind], seed=0)
    wanted = set[tuple[str, int]]()
    for name, parameter in supernet.named_parameters():
        if ".transforms." not in name:
            wanted |= {(name, dim) for dim in range(min(2, parameter.ndim))}
    wanted -= {("stem.weight", 1), ("classifier.weight", 0), ("classifier.bias", 0)}
    wanted -= {(name, 1) for name, _ in wanted if name.endswith("depthwise.weight")}
    met = [(axis.parameter, axis.dim) for group in supernet.groups for axis in group.axes]
    assert len(met) == len(set(met))
    assert set(met) == wanted
    for group in supernet.groups:
        for axis in group.axes:
            assert supernet.get_parameter(axis.parameter).shape[axis.dim] == axis.block * group.channels


def reference(supernet: MobileNetSupernet, open_choices: ElasticChoices) -> dict[str, Tensor]:
    """What Once-for-All's sorting gives, written for MobileNets alone; hidden units of any elastic block are sorted."""
    weights = {name: value.clone() for name, value in supernet.state_dict().items()}
    config = supernet.space.config

    def take(order: Tensor, dim: int, *names: str) -> None:
        for name in names:
            weights[name] = weights[name].index_select(dim, order)

    def order(scores: Tensor, kept: set[int]) -> Tensor:
        edges = sorted({0, len(scores)} | {k for k in kept if k < len(scores)})
        return torch.cat([a + scores[a:b].argsort(descending=True, stable=True) for a, b in itertools.pairwise(edges)])

    def expanded(at: str, by: Tensor) -> None:
        norm = f"{at}.depthwise_norm"
        take(by, 0, f"{at}.depthwise.weight", f"{norm}.weight", f"{norm}.bias")
        take(by, 1, f"{at}.project.weight")
        if f"{at}.squeeze.reduce.weight" in weights:
            take(by, 1, f"{at}.squeeze.reduce.weight")
            take(by, 0, f"{at}.squeeze.expand.weight", f"{at}.squeeze.expand.bias")

    incoming: tuple[int, ...] = (config.stem_channels,)
    for s, spec in enumerate(config.stages):
        outgoing = spec.widths[-open_choices.width :]
        blocks = [f"stages.{s}.{b}" for b in range(spec.depths[-1])]
        for b, at in enumerate(blocks):
            kept = {c * e for c in (outgoing if b else incoming) for e in spec.expansions[-open_choices.expansion :]}
            if f"{at}.expand.weight" in weights:
                by = order(weights[f"{at}.project.weight"].abs().sum((0, 2, 3)), kept)
                take(by, 0, f"{at}.expand.weight", f"{at}.expand_norm.weight", f"{at}.expand_norm.bias")
                expanded(at, by)
            into = spec.widths if b else config.stages[s - 1].widths if s else (config.stem_channels,)
            elastic = len(spec.expansions) * len(into) > 1
            if f"{at}.squeeze.reduce.weight" in weights and elastic:
                scores = weights[f"{at}.squeeze.expand.weight"].abs().sum(0)
                by = order(scores, {make_divisible(k // 4) for k in kept})
                take(by, 0, f"{at}.squeeze.reduce.weight", f"{at}.squeeze.reduce.bias")
                take(by, 1, f"{at}.squeeze.expand.weight")
        incoming = outgoing
        if len(spec.widths) == 1:
            continue
        last = s + 1 == len(config.stages)
        readers = blocks[1:] + ([] if last else [f"stages.{s + 1}.0"])
        read = [f"{at}.expand.weight" for at in readers if f"{at}.expand.weight" in weights]
        scores = [weights[name].abs().sum((0, 2, 3)) for name in read]
        scores += [
            weights[f"{at}.depthwise.weight"].transpose(0, 1).abs().sum((0, 2, 3))
            for at in readers
            if f"{at}.expand.weight" not in weights
        ]
        total = torch.stack(scores).sum(0) if scores else torch.zeros(())
        by = order(total + weights["head.weight"].abs().sum((0, 2, 3)) if last else total, set(outgoing))
        for at in blocks:
            take(by, 0, f"{at}.project.weight", f"{at}.project_norm.weight", f"{at}.project_norm.bias")
            take(by, 0, *(n for n in (f"{at}.shortcut.weight",) if n in weights))
        for at in readers:
            take(by, 1, *(n for n in (f"{at}.shortcut.weight", f"{at}.expand.weight") if n in weights))
            if f"{at}.expand.weight" not in weights:
                expanded(at, by)
        if last:
            take(by, 1, "head.weight")
    return weights


@pytest.mark.parametrize("open_choices", [ElasticChoices(), ElasticChoices(width=2, expansion=2)])
@pytest.mark.parametrize("kind", [*sorted(ALL), "tiny", "small", "bignas"])
def test_sorting_is_bit_by_bit_that_of_once_for_all(kind: str, open_choices: ElasticChoices) -> None:
    made = ALL[kind] if kind in ALL else get("mobilenet", task=ImageClassification(32, 3, 5), preset=kind)
    assert isinstance(made, MobileNetSpace)
    supernet = randomised(made)
    expected = reference(supernet, open_choices)
    sort(supernet, open_choices)
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("kind", sorted(ALL))
def test_sorting_leaves_the_largest_unchanged(kind: str) -> None:
    supernet = randomised(ALL[kind])
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    largest = supernet.space.largest()
    supernet.train()
    with torch.no_grad():
        before = supernet(x, largest)
        weights = {name: value.clone() for name, value in supernet.state_dict().items()}
        sort(supernet, ElasticChoices())
        assert any(not torch.equal(value, weights[name]) for name, value in supernet.state_dict().items())
        difference = float((supernet(x, largest) - before).abs().max())
    assert difference < 1e-5 * max(1.0, float(before.abs().max()))


def test_sorting_in_bands_leaves_networks_in_use_unchanged() -> None:
    """After the first width phase, what the two largest choices have learned must stay."""
    supernet = randomised(SPACES["learned"])
    x = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    members = supernet.space
    in_use = [
        arch
        for arch in members.architectures(members.sample_choices(np.random.default_rng(0), 300))
        if arch["stage0.width"] == 12 and arch["stage1.width"] == 16
    ][:6]
    assert in_use
    supernet.train()
    with torch.no_grad():
        before = [supernet(x, arch) for arch in in_use]
        sort(supernet, ElasticChoices(width=1, expansion=2))
        for arch, value in zip(in_use, before, strict=True):
            torch.testing.assert_close(supernet(x, arch), value, rtol=1e-5, atol=1e-4)


def test_important_channels_come_first() -> None:
    supernet = randomised(SPACES["learned"])
    sort(supernet, ElasticChoices())
    importance = supernet.block(0, 0).project.weight.abs().sum((0, 2, 3))
    assert torch.equal(importance, importance.sort(descending=True).values)
