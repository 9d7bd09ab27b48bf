from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.errors import UsageError
from nas.proxies import vpca, wpca
from nas.proxies.principal_components import directions, feed_forward_layers, spectra_of
from tests.proxies.models import TorchTransformer, Transformer


def by_svd(rows: Tensor, eta: float) -> int:
    """The definition, with all hidden states held."""
    centred = rows.double() - rows.double().mean(0)
    values = torch.linalg.svdvals(centred) ** 2 / (len(rows) - 1)
    return int((values.cumsum(0) / values.sum() < eta).sum()) + 1


def hidden_of(model: nn.Module, layer: nn.Linear, x: Tensor) -> Tensor:
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, output: kept.append(output.detach()))
    with torch.no_grad():
        model(x)
    handle.remove()
    return kept[0]


@pytest.mark.parametrize("eta", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_streamed_gram_matrices_give_what_svd_gives(eta: float, offset: float) -> None:
    torch.manual_seed(0)
    model, x = TorchTransformer().eval(), torch.randn(40, 9, 16)
    layers = feed_forward_layers(model)
    assert [layer.out_features for layer in layers] == [32, 32]
    with torch.no_grad():
        for layer in layers:
            layer.bias.add_(offset)
    expected = sum(by_svd(hidden_of(model, layer, x).flatten(0, 1), eta) for layer in layers)
    assert vpca(model, x, eta=eta) == expected
    assert wpca(model, x, eta=eta) == expected * sum(p.numel() for p in model.parameters())


def test_padding_does_not_count() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))
    x = torch.randn(8, 10, 6)
    mask = torch.arange(10)[None, :] < torch.randint(3, 10, (8, 1))
    noisy = torch.where(mask[:, :, None], x, 1e4 * torch.randn(8, 10, 1) * torch.eye(6)[0])  # in one direction
    rows = model[0](x)[mask]
    assert vpca(model, noisy, mask=mask, eta=0.9) == by_svd(rows.detach(), 0.9)
    assert vpca(model, noisy, eta=0.9) != by_svd(rows.detach(), 0.9)


def test_the_spectrum_is_that_of_the_covariance() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6)), torch.randn(200, 6)
    (values,) = spectra_of(model, x)
    expected = torch.linalg.eigvalsh(torch.cov(model[0](x).detach().double().T))
    assert len(values) == 6  # a linear map of 6 numbers has 6 directions
    assert torch.allclose(values, expected[6:], atol=1e-6)
    assert torch.allclose(expected[:6], torch.zeros(6, dtype=torch.float64), atol=1e-6)


class Offset(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.arange(len(x))[:, None] * torch.eye(self.out_features)[0]


@pytest.mark.parametrize("first", [Offset(6, 12), nn.Linear(6, 4)], ids=["a subclass", "narrowing"])
def test_outputs_are_read_where_inputs_do_not_say_it_all(first: nn.Linear) -> None:
    model, x = nn.Sequential(first), torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    (values,) = spectra_of(model, x, hidden=[first])
    expected = torch.linalg.eigvalsh(torch.cov(first(x).detach().double().T))
    assert torch.allclose(values, expected, rtol=1e-5, atol=1e-5)


def test_inputs_may_be_given_by_name() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(6, 12), nn.Linear(12, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(self.up(input=x))  # type: ignore[no-any-return]

    model, x = ByName(), torch.randn(50, 6)
    assert vpca(model, x) == by_svd(model.up(x).detach(), 0.99)


def test_hooks_are_gone_afterwards_also_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))
    vpca(model, torch.randn(100, 6))
    with pytest.raises(RuntimeError):
        vpca(model, torch.randn(100, 7))
    assert not any(m._forward_hooks for m in model.modules())


SHARES = st.floats(0, 1e6).map(lambda value: value if value > 1e-300 else 0.0)  # below, products lose their digits


@given(st.lists(SHARES, min_size=1, max_size=20), st.floats(0.01, 1.0))
def test_directions_are_the_fewest_that_suffice(values: list[float], eta: float) -> None:
    found = directions(torch.tensor(values, dtype=torch.float64), eta)
    ordered, total = sorted(values, reverse=True), sum(values)
    if total == 0:
        assert found == 0
        return
    assert sum(ordered[:found]) >= (eta - 1e-9) * total
    assert found == 1 or sum(ordered[: found - 1]) < (eta + 1e-9) * total


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(4, 9), nn.Linear(4, 9), nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.sigmoid(self.gate(x)) * self.up(x))  # type: ignore[no-any-return]


def test_feed_forward_layers_are_found() -> None:
    gated = Gated()
    assert feed_forward_layers(gated) == [gated.gate]
    written = Transformer()
    assert feed_forward_layers(written) == [written.up]
    stack = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(4, 8), nn.Linear(8, 4))
    assert feed_forward_layers(stack) == [stack[0], stack[2]]
    assert feed_forward_layers(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))) == []


def test_errors() -> None:
    model = nn.Sequential(nn.Linear(6, 12), nn.Linear(12, 6))
    with pytest.raises(UsageError, match="hidden="):
        wpca(nn.Linear(3, 3), torch.randn(4, 3))
    with pytest.raises(UsageError, match="fewer than two tokens"):
        wpca(model, torch.randn(1, 6))
    with pytest.raises(UsageError, match="eta"):
        wpca(model, torch.randn(9, 6), eta=1.5)
