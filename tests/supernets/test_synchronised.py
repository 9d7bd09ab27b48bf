from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from nas.supernets.layers import ElasticBatchNorm
from nas.supernets.synchronised import by_whole_batch
from tests.training.ranks import ThreadGroup, on_ranks


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_outputs_and_gradients_are_those_of_the_whole_batch(
    ranks: int, layout: torch.memory_format, shift: float
) -> None:
    generator = torch.Generator().manual_seed(ranks)
    norm = ElasticBatchNorm(7, "norm")
    with torch.no_grad():
        norm.weight.normal_(generator=generator)
        norm.bias.normal_(generator=generator)
    x = torch.randn(8, 5, 3, 4, generator=generator) + shift
    x[:3] = 2 * x[:3] - shift  # shares differ in mean and variance
    x = x.contiguous(memory_format=layout)
    g = torch.randn(8, 5, 3, 4, generator=generator)
    whole = x.clone().requires_grad_()
    expected = norm.by_batch(whole)
    (expected * g).sum().backward()

    def work(group: ThreadGroup) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mine, rows = copy.deepcopy(norm), slice(group.rank * 8 // ranks, (group.rank + 1) * 8 // ranks)
        mine.zero_grad(set_to_none=True)
        part = x[rows].clone().requires_grad_()
        y = by_whole_batch(group)(mine, part)
        (y * g[rows]).sum().backward()
        assert group.sums == [ranks * 10, 10]
        assert part.grad is not None
        assert mine.weight.grad is not None
        assert mine.bias.grad is not None
        return y.detach(), part.grad, mine.weight.grad, mine.bias.grad

    parts = on_ranks(ranks, work)
    near = 1e-5 if shift == 0 else 1e-3  # one process's own error there
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), expected.detach(), rtol=near, atol=near)
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), whole.grad, rtol=near, atol=near)
    torch.testing.assert_close(sum(p[2] for p in parts), norm.weight.grad, rtol=near, atol=10 * near)
    torch.testing.assert_close(sum(p[3] for p in parts), norm.bias.grad, rtol=near, atol=near)
