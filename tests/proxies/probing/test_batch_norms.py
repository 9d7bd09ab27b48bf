"""Batch norms of one sample are those of a batch of one in training mode."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses

from nas.proxies.probing.batch_norms import normalise_by_sample, normalise_samples


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 3, 7), (6, 3), (4, 3, 2, 2)])
def test_one_sample_is_normalised_as_a_batch_of_one_is(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(5, *shape, generator=generator)
    weight, bias = torch.randn(2, 3, generator=generator)
    together = normalise_samples(samples, weight, bias, 1e-5)
    for sample, found in zip(samples, together, strict=True):
        expected = F.batch_norm(sample, None, None, weight, bias, training=True)
        assert torch.allclose(found, expected, atol=1e-5)
        assert torch.allclose(normalise_by_sample(sample, None, None, weight, bias), expected, atol=1e-5)


def test_one_value_a_channel_is_scaled_and_shifted() -> None:
    x, weight, bias = torch.ones(2, 1, 3, 1, 1), torch.arange(3.0), torch.ones(3)
    assert torch.equal(normalise_samples(x, weight, bias, 1e-5)[0, 0, :, 0, 0], torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(normalise_samples(x, None, None, 1e-5), x)
