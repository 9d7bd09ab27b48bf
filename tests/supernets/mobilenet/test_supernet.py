from __future__ import annotations

import pytest
import torch

from nas.search_spaces import get
from nas.supernets import MobileNetSupernet, Regularisation, Supernet, calibrate
from nas.task import ImageClassification
from nas.testing import SupernetContract
from nas.testing.subnetworks import randomise
from tests.spaces import SPACES


class TestMobileNetSupernet(SupernetContract):
    @pytest.fixture(params=sorted(SPACES))
    def supernet(self, request: pytest.FixtureRequest) -> Supernet:
        supernet = MobileNetSupernet(SPACES[request.param], seed=0)
        randomise(supernet)
        return supernet


def test_learned_transforms_are_part_of_the_extracted_weights() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    randomise(supernet)
    generator = torch.Generator().manual_seed(5)
    for name, parameter in supernet.named_parameters():
        if ".transforms." in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    smallest = supernet.space.smallest()
    x = torch.randn(16, 3, 8, 8, generator=generator)
    statistics = calibrate(supernet, [smallest], x)[0]
    with torch.no_grad():
        ours = supernet.eval()(x, smallest, statistics=statistics)
        torch.testing.assert_close(supernet.extract(smallest, statistics)(x), ours, rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two, three = (MobileNetSupernet(SPACES["crop"], seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize(("size", "preset"), [(8, "tiny"), (28, "small"), (32, "small"), (32, "ofa"), (33, "bignas")])
def test_presets_build_and_cost_what_they_say(size: int, preset: str) -> None:
    space = get("mobilenet", task=ImageClassification(size, 1, 10), preset=preset)
    supernet = MobileNetSupernet(space, seed=0)
    x = torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    for arch in (space.smallest(), space.largest()):
        network = supernet.extract(arch)
        assert space.cost(arch).params == sum(p.numel() for p in network.parameters())
        assert network(x).shape == (2, 10)


def test_noise_changes_what_is_computed() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0).train()
    randomise(supernet)
    x, largest = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(5)), supernet.space.largest()
    with torch.no_grad():
        plain = supernet(x, largest)
        for drops in ((0.5, 0.0), (0.0, 0.5)):
            noise = Regularisation(*drops, torch.Generator().manual_seed(1))
            assert not torch.equal(supernet(x, largest, regularisation=noise), plain)
