from __future__ import annotations

import torch
from torch import nn

from nas.proxies.az_nas import blocks_of
from nas.search_spaces import get
from nas.supernets import network
from nas.task import ImageClassification
from tests.proxies.models import Residual, resnet


class Staged(nn.Module):
    """As ResNets are written: a stem, stages of blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.layer1 = nn.Sequential(Residual(4, 4, 1), Residual(4, 4, 1))
        self.layer2 = nn.Sequential(Residual(4, 8, 2), Residual(8, 8, 1), Residual(8, 8, 1))
        self.head = nn.Linear(8, 2)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Staged(), nn.Linear(8, 2)


def test_blocks_are_those_of_all_stages() -> None:
    model = Staged()
    assert blocks_of(model) == [*model.layer1, *model.layer2]
    wrapped = Wrapped()
    assert blocks_of(wrapped) == [*wrapped.backbone.layer1, *wrapped.backbone.layer2]
    plain = resnet()
    assert blocks_of(plain) == [plain[1], plain[2]]  # type: ignore[index]


def test_blocks_of_a_mobile_network_are_not_what_one_block_is_made_of() -> None:
    space = get("mobilenet", task=ImageClassification(8, 1, 10))
    for arch in (space.largest(), space.smallest()):
        blocks = blocks_of(network(space, arch, seed=0))
        assert {type(block).__name__ for block in blocks} == {"Block"}


def test_without_parts_every_member_is_a_block() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    assert blocks_of(plain) == list(plain)
    assert torch.is_tensor(plain(torch.randn(1, 3, 8, 8)))
