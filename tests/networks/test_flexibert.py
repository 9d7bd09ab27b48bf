from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.errors import UsageError
from nas.networks.flexibert import (
    Attention,
    DynamicConvolution,
    FeedForward,
    FlexiBert,
    LinearTransform,
    operation,
    transform_matrices,
)
from nas.proxies import gradsign, vpca
from nas.proxies.principal_components import feed_forward_layers
from nas.search_spaces import Architecture, FlexiBertSpace, get
from nas.search_spaces.transformers.flexibert import OPERATIONS
from nas.task import ImageClassification, TextClassification

B, T, H, N = 2, 5, 8, 2  # sequences, tokens, features, heads
D = H // N
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def tiny() -> FlexiBertSpace:
    space = get("flexibert", task=TextClassification(12, 50, 3), preset="tiny")
    assert isinstance(space, FlexiBertSpace)
    return space


def of(*operations: str) -> Architecture:
    """The smallest encoder with these operations, one a layer."""
    space = tiny()
    genes = {"hidden": 16, "depth": len(operations)}
    for layer, name in enumerate(operations):
        genes |= {f"layer{layer}.{kind}": value for kind, value in (("heads", 2), ("width", 64), ("stack", 1))}
        genes |= {f"layer{layer}.operation": name}
    return space.from_genes(genes)


def randomised(module: nn.Module) -> nn.Module:
    """With weights and biases that a wrong product would show."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return module


def inputs() -> Tensor:
    return torch.randn(B, T, H, generator=torch.Generator().manual_seed(0))


def words(n: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 50, (n, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighted", [False, True])
@torch.no_grad()
def test_attention_by_hand(weighted: bool) -> None:
    module, x = randomised(Attention(H, N, weighted=weighted)), inputs()
    assert isinstance(module, Attention)
    expected = torch.zeros(B, T, H)
    for b in range(B):
        for n in range(N):
            part = slice(n * D, (n + 1) * D)
            q, k, v = (layer(x[b])[:, part] for layer in (module.query, module.key, module.value))
            for t in range(T):
                if weighted:
                    scores = [float(module.bilinear[n].weight @ q[t] @ k[s]) for s in range(T)]
                else:
                    scores = [float(q[t] @ k[s]) / math.sqrt(D) for s in range(T)]
                shares = [math.exp(score - max(scores)) for score in scores]
                expected[b, t, part] = sum(share / sum(shares) * v[s] for s, share in enumerate(shares))
    torch.testing.assert_close(module(x, None), module.output(expected), **CLOSE)


def fourier(x: Tensor) -> Tensor:
    """The real part of the orthonormal 2-d transform of [T, d], term by term."""
    rows, columns = x.shape
    out = torch.zeros_like(x)
    for k in range(rows):
        for m in range(columns):
            total = sum(
                float(x[t, f]) * cmath.exp(-2j * math.pi * (k * t / rows + m * f / columns))
                for t in range(rows)
                for f in range(columns)
            )
            out[k, m] = complex(total).real / math.sqrt(rows * columns)
    return out


def cosines(x: Tensor) -> Tensor:
    """The orthonormal 2-d DCT-II of [T, d], term by term."""
    rows, columns = x.shape
    out = torch.zeros_like(x)
    for k in range(rows):
        for m in range(columns):
            total = sum(
                float(x[t, f])
                * math.cos(math.pi * k * (2 * t + 1) / (2 * rows))
                * math.cos(math.pi * m * (2 * f + 1) / (2 * columns))
                for t in range(rows)
                for f in range(columns)
            )
            out[k, m] = total * math.sqrt((1 + (k > 0)) / rows * (1 + (m > 0)) / columns)
    return out


@pytest.mark.parametrize(("kind", "slow"), [("dft", fourier), ("dct", cosines)])
@pytest.mark.parametrize("tokens", [T, T + 2])
@torch.no_grad()
def test_linear_transforms_by_hand(kind: str, slow: object, tokens: int) -> None:
    module, x = randomised(LinearTransform(H, N, tokens, kind)), inputs()
    assert isinstance(module, LinearTransform)
    assert callable(slow)
    entered = module.input(x)
    expected = torch.stack([torch.cat([slow(part) for part in one.split(D, 1)], 1) for one in entered])
    torch.testing.assert_close(module(x, None), module.output(expected), **CLOSE)


def test_the_fourier_transform_is_torchs() -> None:
    cos, sin = transform_matrices("dft", 6)
    x = inputs()[0, :, :6]
    rows = transform_matrices("dft", T)
    torch.testing.assert_close(rows[0] @ x @ cos - rows[1] @ x @ sin, torch.fft.fft2(x, norm="ortho").real, **CLOSE)


def test_cosine_matrices_are_orthonormal() -> None:
    for size in (1, 2, 7, 128):
        (matrix,) = transform_matrices("dct", size)
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(size), rtol=0, atol=1e-5)


def test_matrices_are_no_weights() -> None:
    module = LinearTransform(H, N, T, "dct")
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"input", "output"}
    assert not [name for name in module.state_dict() if name.startswith("over_")]


@pytest.mark.parametrize("kernel", [3, 5])
@torch.no_grad()
def test_dynamic_convolution_by_hand(kernel: int) -> None:
    module, x = randomised(DynamicConvolution(H, N, kernel)), inputs()
    assert isinstance(module, DynamicConvolution)
    half, expected = kernel // 2, torch.zeros(B, T, H)
    for b in range(B):
        values = module.value(x[b])
        for t in range(T):
            inside = [(i, t + i - half) for i in range(kernel) if 0 <= t + i - half < T]
            span = sum((module.span.weight[:, 0, i, 0] * x[b, s] for i, s in inside), torch.zeros(H))
            logits = module.kernel(module.query(x[b, t]) * module.point(span)).view(N, kernel)
            for n in range(N):
                shares, part = logits[n].softmax(0), slice(n * D, (n + 1) * D)
                expected[b, t, part] = sum((shares[i] * values[s, part] for i, s in inside), torch.zeros(D))
    torch.testing.assert_close(module(x, None), module.output(expected), **CLOSE)


def test_feed_forward_by_hand() -> None:
    module, x = FeedForward(H, 12), inputs()
    hidden = module.widen(x)
    y = x + module.narrow(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))
    expected = (y - y.mean(-1, keepdim=True)) / (y.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(module(x), expected, **CLOSE)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_the_shape_and_sees_no_padding(name: str) -> None:
    module, x = randomised(operation(name, H, N, T)), inputs()
    mask = torch.tensor([[True] * T, [True] * 3 + [False] * 2])
    other = torch.where(mask[..., None], x, 100.0)
    assert module(x, None).shape == x.shape
    torch.testing.assert_close(module(x, mask)[mask], module(other, mask)[mask], **CLOSE)


@pytest.mark.parametrize("operations", [("sdp", "wma"), ("wma", "sdp"), ("conv5", "conv9"), ("sdp", "conv5")])
def test_padding_changes_no_logits(operations: tuple[str, ...]) -> None:
    network = FlexiBert(tiny(), of(*operations)).eval()
    alone = words(1, 7)
    padded = torch.cat([alone, words(1, 5, seed=1)], 1)
    mask = torch.arange(12)[None] < 7
    torch.testing.assert_close(network(padded, mask), network(alone), **CLOSE)
    assert (network(padded) - network(alone)).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["dft", "dct"])
def test_what_stands_in_padding_changes_no_logits_of_linear_transforms(name: str) -> None:
    network = FlexiBert(tiny(), of(name, name)).eval()
    mask = torch.arange(12)[None] < 7
    first, second = (torch.cat([words(1, 7), words(1, 5, seed=seed)], 1) for seed in (1, 2))
    torch.testing.assert_close(network(first, mask), network(second, mask), **CLOSE)
    assert (network(first) - network(second)).abs().max() > 1e-4


def members(n: int, seed: int = 0) -> list[tuple[Architecture, FlexiBert]]:
    space = tiny()
    archs = space.architectures(space.sample_choices(np.random.default_rng(seed), n))
    return [(arch, FlexiBert(space, arch)) for arch in archs]


def test_logits_have_a_column_a_class_and_gradients_reach_all_weights() -> None:
    for _, network in members(12):
        logits = network(words(4, 12))
        assert logits.shape == (4, 3)
        logits.square().sum().backward()
        # The bias of a key shifts all scores of a query alike, which softmax does not see.
        missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert all(name.endswith("key.bias") for name in missing), missing


def test_nothing_is_random_in_a_pass() -> None:
    for _, network in members(4):
        torch.testing.assert_close(network.train()(words(2, 9)), network.eval()(words(2, 9)), rtol=0, atol=0)


def test_the_first_layers_of_all_feed_forward_networks_are_found() -> None:
    for arch, network in members(30, seed=1):
        found = feed_forward_layers(network)
        assert [id(layer) for layer in found] == [id(m.widen) for m in network.modules() if isinstance(m, FeedForward)]
        assert len(found) == sum(int(value) for name, value in arch.genes.items() if name.endswith(".stack"))


def test_proxies_pass_through_every_operation() -> None:
    for name in OPERATIONS:
        network = FlexiBert(tiny(), of(name))
        assert gradsign(network, words(6, 12), torch.arange(6) % 3) > 0
        assert vpca(network, words(6, 12)) > 0


def test_a_sample_alone_has_the_logits_it_has_in_a_batch() -> None:
    """Under vmap, the way that per-sample passes call it."""
    for name in OPERATIONS:
        network, batch = FlexiBert(tiny(), of(name)).eval(), words(3, 12)
        alone = torch.vmap(lambda one, network=network: network(one.unsqueeze(0)).squeeze(0))(batch)
        torch.testing.assert_close(alone, network(batch), **CLOSE)


def test_sequences_that_are_too_long_are_refused() -> None:
    with pytest.raises(UsageError, match="sequences of 13 tokens; this space has 12 at most"):
        FlexiBert(tiny(), of("sdp"))(words(1, 13))


def test_an_encoder_of_another_space_is_refused() -> None:
    with pytest.raises(UsageError, match="another space"):
        FlexiBert(tiny(), get("nasbench201", task=ImageClassification(8, 3, 3)).smallest())
