from __future__ import annotations

import torch

from nas.evaluation.population.chunks import Chunks
from tests.images import stripes

CPU = torch.device("cpu")


def test_every_example_is_in_one_chunk_with_its_target() -> None:
    data = stripes()
    chunks = Chunks(data, "test", calibration=16, batch_size=30, device=CPU)
    assert chunks.examples == data.size("test") == 80
    batches = [chunks[chunk] for chunk in chunks.scored]
    assert [len(inputs) for inputs, _ in batches] == [chunks.sizes[chunk] for chunk in chunks.scored] == [27, 27, 26]
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    inputs, targets = data.batch("test", order)
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), inputs)
    assert torch.equal(torch.cat([targets for _, targets in batches]), targets)


def test_calibration_batches_come_first_in_their_own_order() -> None:
    data = stripes()
    chunks = Chunks(data, "validation", calibration=16, batch_size=30, device=CPU)
    assert (chunks.calibration, chunks.scored) == (range(3), range(3, 6))
    inputs = torch.cat([chunks[chunk][0] for chunk in chunks.calibration])
    assert torch.equal(inputs, data.batch("calibration", slice(None))[0])


def test_nothing_is_calibrated_where_nothing_needs_it() -> None:
    chunks = Chunks(stripes(), "validation", calibration=None, batch_size=80, device=CPU)
    assert (chunks.calibration, chunks.scored) == (range(0), range(1))
