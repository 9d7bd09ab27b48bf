from __future__ import annotations

from nas.supernets import MobileNetSupernet
from nas.training.optimiser import sgd
from tests.spaces import SPACES


def test_only_weights_of_convolutions_and_linear_layers_decay() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    decayed, free = sgd(supernet, learning_rate=0.1, weight_decay=0.5).param_groups
    names = {id(p): n for n, p in supernet.named_parameters()}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert all(p.ndim >= 2 and ".transforms." not in names[id(p)] for p in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)
    assert any(".transforms." in names[id(p)] for p in free["params"])
