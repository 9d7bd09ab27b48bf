from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.errors import UsageError
from nas.networks.nasbench201 import Cell, NasBench201
from nas.search_spaces import Architecture, NasBench201Space, get
from nas.search_spaces.cells.nasbench201 import EDGES
from nas.task import ImageClassification


def tiny() -> NasBench201Space:
    space = get("nasbench201", task=ImageClassification(8, 3, 5), preset="tiny")
    assert isinstance(space, NasBench201Space)
    return space


def cell(*operations: str) -> Architecture:
    return tiny().from_genes({f"{i}-{j}.op": name for (i, j), name in zip(EDGES, operations, strict=True)})


def images(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_logits_have_a_column_a_class_and_gradients_reach_all_weights() -> None:
    space = tiny()
    for arch in space.architectures(space.sample_choices(np.random.default_rng(0), 8)):
        network = NasBench201(space, arch)
        logits = network(images())
        assert logits.shape == (4, 5)
        logits.square().sum().backward()
        assert all(p.grad is not None for name, p in network.named_parameters() if ".edges." not in name)


def test_a_gradient_reaches_every_edge_of_the_full_cell() -> None:
    network = NasBench201(tiny(), cell(*["nor_conv_3x3"] * 6))
    network(images()).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.body.parameters())


def test_a_cell_without_edges_forgets_its_input() -> None:
    network = NasBench201(tiny(), cell(*["none"] * 6)).eval()
    logits = network(images())
    torch.testing.assert_close(logits, logits[:1].expand_as(logits), rtol=0, atol=0)
    assert NasBench201(tiny(), cell(*["skip_connect"] * 6)).eval()(images()).std(0).min() > 0


def test_nodes_add_their_edges() -> None:
    """0-1 and 0-2 skip, 1-2 averages, 0-3 and 2-3 skip, 1-3 is not there."""
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    made = Cell(("skip_connect", "skip_connect", "avg_pool_3x3", "skip_connect", "none", "skip_connect"), 4)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1), value=torch.nan)
    patches = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2)
    average = patches.nanmean(-1)  # padding does not count
    torch.testing.assert_close(made(x), x + (x + average), rtol=1e-5, atol=1e-6)


def test_a_cell_of_another_space_is_refused() -> None:
    other = get("mobilenet", task=ImageClassification(8, 3, 5))
    with pytest.raises(UsageError, match="another space"):
        NasBench201(tiny(), other.smallest())
