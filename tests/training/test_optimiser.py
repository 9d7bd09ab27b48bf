from __future__ import annotations

from nas.supernets import MobileNetSupernet
from nas.training.optimiser import sgd
from tests.spaces import SPACES


def test_only_weights_of_convolutions_and_linear_layers_decay() -> None:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    exempt = supernet.no_weight_decay
    decayed, free = sgd(supernet, learning_rate=0.1, weight_decay=0.5, exempt=exempt).param_groups
    names = {id(p): n for n, p in supernet.named_parameters()}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert all(p.ndim >= 2 and names[id(p)] not in exempt for p in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)
    assert {names[id(p)] for p in free["params"] if p.ndim >= 2} == set(exempt)
    assert len(exempt) == 2 * 1 + 3 * 2  # in each of two blocks one kernel is smaller than the largest, in three two
