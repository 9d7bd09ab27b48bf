"""Every proxy against a value computed without torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import nas.proxies
from nas.proxies import Probe
from tests.proxies.two_layers import TwoLayers

SEEDS = range(3)


def of(net: TwoLayers, name: str) -> float:
    return nas.proxies.get(name)(net.module(), *net.batch())


@pytest.fixture(params=SEEDS)
def net(request: pytest.FixtureRequest) -> TwoLayers:
    return TwoLayers.random(request.param)


def test_the_hand_knows_what_torch_knows(net: TwoLayers) -> None:
    module, (x, y) = net.module(), net.batch()
    nn.functional.cross_entropy(module(x), y).backward()
    for parameter, grad in zip(module.parameters(), net.gradients(), strict=True):
        assert parameter.grad is not None
        assert np.allclose(parameter.grad.numpy(), grad)


def test_params_and_macs(net: TwoLayers) -> None:
    assert of(net, "params") == of(net, "macs") == 4 * 5 + 3 * 4


def test_l2_norm(net: TwoLayers) -> None:
    assert of(net, "l2_norm") == pytest.approx(np.linalg.norm(net.w1) + np.linalg.norm(net.w2))


def test_grad_norm(net: TwoLayers) -> None:
    assert of(net, "grad_norm") == pytest.approx(sum(np.linalg.norm(g) for g in net.gradients()))


def test_snip_and_plain(net: TwoLayers) -> None:
    products = [w * g for w, g in zip((net.w1, net.w2), net.gradients(), strict=True)]
    assert of(net, "snip") == pytest.approx(sum(np.abs(p).sum() for p in products))
    assert of(net, "plain") == pytest.approx(sum(p.sum() for p in products))


def test_fisher(net: TwoLayers) -> None:
    to_logits = net.errors() / len(net.x)
    first, second = net.inner * (to_logits @ net.w2 * net.code), net.logits * to_logits
    weights = [net.w1.shape[1], net.w2.shape[1]]  # of a channel
    channels = [(p**2).mean(0).sum() / 2 for p in (first, second)]
    assert of(net, "fisher") == pytest.approx(np.dot(weights, channels))


def test_grasp(net: TwoLayers) -> None:
    """The Hessian's product by a difference of gradients."""
    g1, g2 = net.gradients()
    step = 1e-5
    ahead, behind = (replace(net, w1=net.w1 + s * g1, w2=net.w2 + s * g2).gradients() for s in (step, -step))
    products = [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
    expected = -sum((w * h).sum() for w, h in zip((net.w1, net.w2), products, strict=True))
    assert of(net, "grasp") == pytest.approx(expected, rel=1e-4)


def test_synflow(net: TwoLayers) -> None:
    """Each of two layers gives the whole output."""
    assert of(net, "synflow") == pytest.approx(2 * (np.abs(net.w2) @ np.abs(net.w1) @ np.ones(5)).sum())


def test_jacob_cov(net: TwoLayers) -> None:
    values = np.linalg.eigvalsh(np.corrcoef(net.jacobian()))
    assert of(net, "jacob_cov") == pytest.approx(-(np.log(values + 1e-5) + 1 / (values + 1e-5)).sum(), rel=1e-4)


def test_epe_nas(net: TwoLayers) -> None:
    classes = [np.corrcoef(net.jacobian()[net.y == c]) for c in range(3)]
    assert of(net, "epe_nas") == pytest.approx(sum(abs(np.log(np.abs(c) + 1e-5).sum()) for c in classes))


def test_what_codes_say() -> None:
    nets = [TwoLayers.random(seed, samples=3) for seed in range(20)]
    net = next(net for net in nets if len({tuple(row) for row in net.code}) == 3)  # else the kernel is singular
    code = net.code
    kernel = code @ code.T + (1 - code) @ (1 - code).T
    assert of(net, "nwot") == pytest.approx(np.linalg.slogdet(kernel)[1])
    assert of(net, "swap") == len({tuple(column) for column in code.T})
    assert of(net, "linear_regions") == len({tuple(row) for row in code})


def test_patterns_are_those_of_the_first_samples(net: TwoLayers) -> None:
    many = TwoLayers.random(3, samples=40)
    assert of(many, "swap") == len({tuple(column) for column in many.code[:16].T})
    assert of(many, "linear_regions") == len({tuple(row) for row in many.code})


def test_zico(net: TwoLayers) -> None:
    halves = [replace(net, x=net.x[s], y=net.y[s]).gradients() for s in (slice(0, 4), slice(4, 8))]
    total = 0.0
    for a, b in zip(*halves, strict=True):
        spread = np.std([a, b], axis=0)
        total += np.log((np.mean([np.abs(a), np.abs(b)], axis=0)[spread > 0] / spread[spread > 0]).sum())
    assert of(net, "zico") == pytest.approx(total)


def test_ntk_condition() -> None:
    net = TwoLayers.random(1, samples=4)
    rows = np.concatenate([g.reshape(4, -1) for g in net.sample_gradients(np.ones((4, 3)))], axis=1)
    values = np.linalg.eigvalsh(rows @ rows.T)
    assert of(net, "ntk_condition") == pytest.approx(-values[-1] / values[0], rel=1e-6)


def test_gradsign(net: TwoLayers) -> None:
    counts = [np.sign(g).sum(0) for g in net.sample_gradients(net.errors())]
    assert of(net, "gradsign") == sum(np.abs(c).sum() for c in counts)


def test_wpca() -> None:
    """A widening layer with a known spectrum; the hidden layer is looked at before its nonlinearity."""
    module = nn.Sequential(nn.Linear(4, 6, bias=True), nn.GELU(), nn.Linear(6, 4))
    with torch.no_grad():
        module[0].weight.zero_()
        for i, scale in enumerate((10.0, 5.0, 1.0, 0.01)):
            module[0].weight[i, i] = scale
    rows, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 5)) - 0.0)
    rows = rows - rows.mean(0)
    basis, _, _ = np.linalg.svd(rows, full_matrices=False)
    x = torch.from_numpy(basis[:, :4]).float()  # centred and orthonormal: the variances are the squared scales
    shares = np.cumsum(np.array([100, 25, 1, 1e-4]) / 126.0001)
    for eta in (0.5, 0.9, 0.995, 0.9999999):
        expected = int((shares < eta).sum()) + 1
        assert nas.proxies.vpca(module, x, eta=eta) == expected
        assert nas.proxies.wpca(module, x, eta=eta) == expected * (4 * 6 + 6 + 6 * 4 + 4)


class Maps(nn.Module):
    """Two blocks of 1x1 convolutions and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.Conv2d(5, 4, 1, bias=False))
        self.classifier = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture
def maps() -> tuple[Maps, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return Maps(), torch.randn(6, 3, 4, 4), torch.arange(6) % 2


def weights_of(model: Maps) -> list[np.ndarray]:
    return [block.weight.detach().double().numpy()[:, :, 0, 0] for block in model.blocks]


def test_meco(maps: tuple[Maps, torch.Tensor, torch.Tensor]) -> None:
    model, x, y = maps
    with Probe(model, x, y, seed=3) as probe:
        image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))[0].flatten(1).double().numpy()
        first = weights_of(model)[0] @ image
        second = weights_of(model)[1] @ first
        expected = sum(np.linalg.eigvalsh(np.corrcoef(m))[0] for m in (first, second))
        assert nas.proxies.get("meco").score(probe) == pytest.approx(expected, abs=1e-5)


def test_zen(maps: tuple[Maps, torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without batch norms a step of the input moves the last map by the weights times the step."""
    model, x, y = maps
    monkeypatch.setattr("nas.proxies.data_free.ZEN_REPEATS", 1)
    source = torch.Generator().manual_seed(3)
    w1, w2, _ = (torch.randn(shape, generator=source) for shape in ((5, 3), (4, 5), (2, 4)))
    _, z = (torch.randn(16, 3, 4, 4, generator=source) for _ in range(2))
    moved = torch.einsum("ab,nbhw->nahw", w2 @ w1, 0.01 * z)
    with Probe(model, x, y, seed=3) as probe:
        assert nas.proxies.get("zen").score(probe) == pytest.approx(
            float(moved.abs().sum((1, 2, 3)).mean().log()), rel=1e-3
        )


def test_zen_adds_the_batch_norms_variances() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    source = torch.Generator().manual_seed(0)
    w, _ = (torch.randn(shape, generator=source) for shape in ((4, 3, 1, 1), (2, 64)))
    x, z = (torch.randn(16, 3, 4, 4, generator=source) for _ in range(2))
    before, after = (nn.functional.conv2d(v, w) for v in (x, x + 0.01 * z))

    def normed(maps: torch.Tensor) -> torch.Tensor:
        spread, mean = torch.var_mean(maps, (0, 2, 3), correction=0, keepdim=True)
        return torch.relu((maps - mean) / (spread + 1e-5).sqrt())

    distance = (normed(before) - normed(after)).abs().sum((1, 2, 3)).mean()
    spread = before.var((0, 2, 3), correction=0).mean()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.proxies.data_free.ZEN_REPEATS", 1)
        found = nas.proxies.get("zen")(model, torch.randn(2, 3, 4, 4), torch.tensor([0, 1]))
    assert found == pytest.approx(float(distance.log() + 0.5 * torch.log(spread + 1e-5)), rel=1e-4)


def test_az_nas(maps: tuple[Maps, torch.Tensor, torch.Tensor]) -> None:
    model, x, y = maps
    with Probe(model, x, y, seed=3) as probe:
        image = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(3)).movedim(1, -1).reshape(-1, 3)
        w1, w2 = weights_of(model)
        features = [image.double().numpy() @ w1.T, image.double().numpy() @ w1.T @ w2.T]
        entropies = []
        for rows in features:
            values = np.clip(np.linalg.eigvalsh(np.cov(rows.T, bias=True)), 0, None)
            shares = values / values.sum()
            entropies.append(-(shares * np.log(shares + 1e-8)).sum())
        assert nas.proxies.get("az_expressivity").score(probe) == pytest.approx(sum(entropies), rel=1e-4)
        assert nas.proxies.get("az_progressivity").score(probe) == pytest.approx(entropies[1] - entropies[0], rel=1e-3)
        signs = torch.randint(0, 2, (6, 4, 4, 4), generator=torch.Generator().manual_seed(3)) * 2.0 - 1
        signs = signs.movedim(1, -1).reshape(-1, 4).double().numpy()
        norm = np.linalg.norm((signs @ w2).T @ signs / len(signs), 2)
        assert nas.proxies.get("az_trainability").score(probe) == pytest.approx(2 - norm - 1 / (norm + 1e-6), rel=1e-4)
