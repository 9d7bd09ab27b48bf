from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import nas.proxies
from nas.errors import UsageError
from nas.networks.nasbench201 import NasBench201
from nas.proxies import Probe, gradsign
from nas.proxies.gradient_signs import batched, one_by_one, sign_counts
from nas.search_spaces.cells import nasbench201
from nas.task import ImageClassification
from tests.proxies.models import Mobile, TorchTransformer, Transformer, resnet


def total(counts: dict[Tensor, Tensor]) -> float:
    return float(sum(count.abs().sum() for count in counts.values()))


def by_definition(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """One sample a pass, in training mode, as the paper has it."""
    model.train()
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    weights += [m.in_proj_weight for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    counts = [torch.zeros_like(w) for w in weights]
    for i in range(len(x)):
        grads = torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), weights, allow_unused=True)
        for count, grad in zip(counts, grads, strict=True):
            count += 0 if grad is None else grad.sign()
    return float(sum(count.abs().sum() for count in counts))


def images(size: int = 12) -> Tensor:
    return torch.randn(10, 3, size, size)


Y = torch.arange(10) % 5
CASES = {
    "resnet": (resnet, images),
    "mobile": (Mobile, images),
    "transformer": (Transformer, lambda: torch.randint(0, 50, (10, 7))),
    "torch's transformer": (TorchTransformer, lambda: torch.randn(10, 7, 16)),
}


@pytest.mark.parametrize("case", CASES)
def test_one_batched_pass_equals_one_pass_a_sample(case: str) -> None:
    torch.manual_seed(0)
    model, x = CASES[case][0](), CASES[case][1]()
    expected = by_definition(model, x, Y)
    assert expected > 0
    together = total(batched(model, x, Y)[1])
    assert together == pytest.approx(expected, rel=1e-3)
    assert gradsign(model, x, Y) == together
    assert total(one_by_one(model, x, Y)[1]) == pytest.approx(expected, rel=1e-3)


def test_cells_of_nasbench201() -> None:
    space = nasbench201.build(ImageClassification(16, 3, 10), "tiny")
    rows = space.sample_choices(np.random.default_rng(0), 6)
    for arch in space.architectures(rows):
        torch.manual_seed(0)
        model, x, y = NasBench201(space, arch), torch.randn(8, 3, 16, 16), torch.arange(8)
        assert gradsign(model, x, y) == pytest.approx(by_definition(model, x, y), rel=1e-3), arch


def test_the_classifier_counts_what_its_closed_form_says() -> None:
    """Features that are positive leave sign(p - y): class c counts N - 2 n_c for each of them."""
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(9, 12) + 0.1, torch.arange(9) % 2
    (counts,) = sign_counts(model, x, y).values()
    sizes = torch.tensor([5, 4, 0])
    assert torch.equal(counts.double(), (9 - 2 * sizes).double()[:, None].expand(3, 12))


def test_dead_units_count_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    assert gradsign(model, torch.randn(6, 4), torch.arange(6) % 2) == 0.0


def test_a_map_of_one_pixel_is_only_scaled_and_shifted() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 4), nn.Flatten(), nn.Linear(4, 5))
    normed = nn.Sequential(plain[0], nn.BatchNorm2d(4), *plain[1:])
    x = torch.randn(10, 3, 4, 4)
    expected = gradsign(plain, x, Y)
    assert gradsign(normed, x, Y) == expected
    assert total(one_by_one(normed, x, Y)[1]) == expected


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(F.relu(self.first(x))))  # type: ignore[no-any-return]


class Signal(nn.Module):
    """A one-dimensional convolution, and a way that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv1d(2, 3, 3), nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x).mean(2)
        return self.last(h if float(h.detach().sum()) > 0 else 2 * h)  # type: ignore[no-any-return]


class TiedEmbedding(nn.Module):
    """The head multiplies by the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 8), nn.Linear(8, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens).mean(1))  # type: ignore[no-any-return]


class Standardised(nn.Conv2d):
    """A convolution by its standardised weight."""

    def forward(self, input: Tensor) -> Tensor:
        spread, centre = torch.var_mean(self.weight, (1, 2, 3), keepdim=True)
        return self._conv_forward(input, (self.weight - centre) / spread.sqrt(), self.bias)


def standardised() -> nn.Module:
    return nn.Sequential(Standardised(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


def unevenly_padded() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 4, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def tokens() -> Tensor:
    return torch.randint(0, 5, (10, 7))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Tied, lambda: torch.randn(10, 6)),
        (Signal, lambda: torch.randn(10, 2, 8)),
        (TiedEmbedding, tokens),
        (standardised, images),
        (unevenly_padded, lambda: images(6)),
    ],
)
def test_what_cannot_be_batched_is_taken_one_by_one(
    model: Callable[[], nn.Module], inputs: Callable[[], Tensor]
) -> None:
    torch.manual_seed(0)
    net, x = model(), inputs()
    with pytest.raises((NotImplementedError, RuntimeError)):
        batched(net, x, Y)
    weights = [m.weight for m in net.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
    counts = [torch.zeros_like(w) for w in weights]
    for i in range(10):
        for count, grad in zip(
            counts, torch.autograd.grad(F.cross_entropy(net(x[i : i + 1]), Y[i : i + 1]), weights), strict=True
        ):
            count += grad.sign()
    assert gradsign(net, x, Y) == sum(float(c.abs().sum()) for c in counts) > 0


def test_frozen_weights_count_too() -> None:
    torch.manual_seed(0)
    model, x = resnet(), images()
    expected = gradsign(model, x, Y)
    model.requires_grad_(False)
    assert gradsign(model, x, Y) == expected
    assert total(one_by_one(model, x, Y)[1]) == pytest.approx(expected, rel=1e-3)


def test_errors() -> None:
    with pytest.raises(UsageError, match="convolution or a linear"):
        gradsign(nn.Flatten(), torch.randn(4, 5), torch.arange(4))
    with pytest.raises(UsageError, match="complex"):
        gradsign(nn.Linear(3, 2), torch.randn(4, 3, dtype=torch.complex64), torch.zeros(4, dtype=torch.long))
    y = torch.zeros(4, dtype=torch.long)
    with pytest.raises(UsageError, match="as many classes"):
        gradsign(nn.Linear(3, 2), torch.randn(4, 3), y[:3])
    for wrong in (y + 7, y - 1):
        with pytest.raises(UsageError, match=f"class {int(wrong[0])}"):
            gradsign(nn.Linear(3, 2), torch.randn(4, 3), wrong)
        with pytest.raises(UsageError, match=f"class {int(wrong[0])}"):
            gradsign(nn.Sequential(nn.Conv1d(2, 2, 3), nn.Flatten()), torch.randn(4, 2, 3), wrong)
    with pytest.raises(UsageError, match="row of integers"):
        gradsign(nn.Linear(3, 2), torch.randn(4, 3), torch.zeros(4))
    with pytest.raises(UsageError, match=r"logits \[N, classes\]"):
        gradsign(nn.Linear(3, 2), torch.randn(4, 5, 3), y)
    with pytest.raises(UsageError, match="uint8"):
        gradsign(nn.Linear(3, 2), torch.zeros(4, 3, dtype=torch.uint8), y)


def test_computed_weights_that_have_to_go_one_by_one_are_refused() -> None:
    body = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 3))
    with pytest.raises(UsageError, match="weight norm"):
        gradsign(nn.Sequential(body, nn.Flatten(), nn.Linear(18, 5)), torch.randn(10, 2, 8), Y)


def test_a_network_of_nans_has_no_score() -> None:
    model = resnet()
    with torch.no_grad():
        model[0].weight.fill_(math.nan)
    assert math.isnan(gradsign(model, images(), Y))
    signal = Signal()
    with torch.no_grad():
        signal.conv.weight.fill_(math.nan)
    assert math.isnan(gradsign(signal, torch.randn(10, 2, 8), Y))


class Masked(Transformer):
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        x = self.up(self.embedding(tokens)) * mask[..., None]
        return self.classifier(self.down(x.sum(1)))  # type: ignore[no-any-return]


def test_a_mask_hides_tokens() -> None:
    torch.manual_seed(0)
    model, x, mask = Masked(), torch.randint(0, 50, (10, 7)), torch.arange(7)[None] < torch.arange(1, 11)[:, None]
    expected = gradsign(model, x, Y, mask=mask)
    assert gradsign(model, torch.where(mask, x, 49 - x), Y, mask=mask) == expected
    assert gradsign(model, torch.where(mask, 49 - x, x), Y, mask=mask) != expected
    assert total(one_by_one(model, x, Y, mask)[1]) == pytest.approx(expected, rel=1e-3)
    with Probe(model, x, Y, mask=mask) as probe:
        assert nas.proxies.get("gradsign").score(probe) == expected
