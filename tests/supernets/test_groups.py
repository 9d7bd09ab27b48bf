from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.supernets.groups import Axis, ChannelGroup, importance, order_by_importance, permute, sort_channels


class Heads(nn.Module):
    """Three heads of two features each between two linear layers, and a gain for every head."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(4, 6), nn.Linear(6, 5)
        self.gain = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = self.into(x).view(-1, 3, 2).tanh() * self.gain[:, None]
        return self.out(heads.flatten(1))


HEADS = ChannelGroup(
    "heads",
    writers=(Axis("into.weight", 0, 2), Axis("into.bias", 0, 2), Axis("gain", 0)),
    readers=(Axis("out.weight", 1, 2),),
    genes=("heads",),
    counts={(0,): 1, (1,): 2, (2,): 3},
)


@pytest.fixture
def network() -> Heads:
    torch.manual_seed(0)
    network = Heads()
    network.out.weight.data[:, :2] *= 0.1  # the first head matters least
    network.out.weight.data[:, 4:] *= 10
    return network


def test_bands_are_kept() -> None:
    scores = torch.tensor([1.0, 3.0, 2.0, 9.0, 7.0, 8.0])
    assert order_by_importance(scores, []).tolist() == [3, 5, 4, 1, 2, 0]
    assert order_by_importance(scores, [3]).tolist() == [1, 2, 0, 3, 5, 4]
    assert order_by_importance(scores, [6, 99]).tolist() == [3, 5, 4, 1, 2, 0]
    assert order_by_importance(torch.ones(4), [2]).tolist() == [0, 1, 2, 3]


def test_counts_follow_the_genes() -> None:
    two = ChannelGroup("inner", (), (), ("width", "ratio"), {(0, 0): 16, (0, 1): 24, (1, 0): 24, (1, 1): 36})
    assert two.channels == 36
    assert two.counts_from({"width": 0, "ratio": 0, "depth": 3}) == [16, 24, 36]
    assert two.counts_from({"width": 1, "ratio": 0}) == [24, 36]
    assert two.counts_from({"width": 1, "ratio": 1}) == [36]
    assert two.count({"width": 0, "ratio": 1}) == 24
    assert two.count({"width": 0, "ratio": -1}) == 0
    fixed = ChannelGroup("stem", (), (), (), {(): 8})
    assert fixed.count({}) == fixed.channels == 8
    assert fixed.counts_from({}) == [8]


def test_a_block_of_entries_moves_as_one(network: Heads) -> None:
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    before, weights = network(x), {name: value.clone() for name, value in network.state_dict().items()}
    permute(network, HEADS, torch.tensor([2, 0, 1]))
    torch.testing.assert_close(network(x), before)
    assert torch.equal(network.into.weight, weights["into.weight"][[4, 5, 0, 1, 2, 3]])
    assert torch.equal(network.gain, weights["gain"][[2, 0, 1]])


def test_channels_are_ranked_by_their_readers_or_by_what_the_group_says(network: Heads) -> None:
    by_readers = network.out.weight.abs().sum(0).view(3, 2).sum(1)
    torch.testing.assert_close(importance(network, HEADS), by_readers)
    by_gain = ChannelGroup("heads", HEADS.writers, HEADS.readers, (), {(): 3}, ranked_by=(Axis("gain", 0),))
    assert importance(network, by_gain).tolist() == [1, 2, 3]


def test_sorting_puts_the_important_first_and_leaves_what_is_in_use(network: Heads) -> None:
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    before = network(x)
    sort_channels(network, [HEADS], {"heads": 1})  # two heads are in use: the third must not come before them
    assert network.gain.tolist() == [2, 1, 3]
    sort_channels(network, [HEADS], {"heads": 2})
    assert network.gain.tolist() == [3, 2, 1]
    torch.testing.assert_close(network(x), before)


def test_a_group_that_every_architecture_uses_whole_stays(network: Heads) -> None:
    sort_channels(network, [ChannelGroup("heads", HEADS.writers, HEADS.readers, (), {(): 3})], {})
    assert network.gain.tolist() == [1, 2, 3]
