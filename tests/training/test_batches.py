from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.errors import UsageError
from nas.training import ALONE, Batches, Group, Settings
from nas.training.batches import seed_of
from tests.images import stripes
from tests.training.ranks import branches_batches, images, on_ranks


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own() -> None:
    batches = branches_batches(ALONE)
    assert (batches.per_epoch, batches.steps) == (4, 20)
    epochs = [torch.cat([batches.rows(epoch * 4 + i) for i in range(4)]) for epoch in range(2)]
    for order in epochs:
        assert torch.equal(order.sort().values, torch.arange(128))
    assert not torch.equal(*epochs)
    assert torch.equal(batches.rows(1), epochs[0][32:64])  # going back gives the same
    other = Batches(images(), Settings(5, 32, 0.1, seed=4))
    assert not torch.equal(other.rows(0), batches.rows(0))


def test_what_is_left_over_is_left_out_and_a_small_split_is_one_batch() -> None:
    assert Batches(stripes(100), Settings(2, 32, 0.1, seed=0)).per_epoch == 3
    small = Batches(stripes(20), Settings(2, 32, 0.1, seed=0))
    assert small.per_epoch == 1
    assert len(small.batch(1)[0]) == 20


def test_a_batch_is_the_data_sets_augmented_from_seed_and_step() -> None:
    batches, data = branches_batches(ALONE), images()
    rows = batches.rows(6)
    inputs, targets = batches.batch(6)
    generator = torch.Generator().manual_seed(seed_of(3, 1, 6))
    expected, labels = data.batch("train", rows, generator=generator)
    assert torch.equal(inputs, expected)
    assert torch.equal(targets, labels)
    assert not torch.equal(inputs, data.batch("train", rows)[0])


def test_ranks_see_the_rows_of_one_processes_batch() -> None:
    def batch(group: Group) -> tuple[Tensor, Tensor]:
        return branches_batches(group).batch(6)

    whole = batch(ALONE)
    parts = on_ranks(4, batch)
    for i in (0, 1):
        assert torch.equal(torch.cat([part[i] for part in parts]), whole[i])


def test_unequal_shares_are_refused() -> None:
    with pytest.raises(UsageError, match="32 examples does not divide"):
        on_ranks(3, branches_batches)


def test_calibration_inputs_are_as_they_are() -> None:
    batches, data = branches_batches(ALONE), images()
    whole = batches.calibration()
    assert torch.equal(whole, data.batch("calibration", slice(None))[0])
    assert torch.equal(batches.calibration(2), whole[:2])
    assert batches.digest == data.digest


def test_seeds_differ() -> None:
    assert len({seed_of(0, 1, step) for step in range(100)}) == 100
    assert 0 <= seed_of(1, 2) < 2**63
