from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn

import nas.proxies
from nas.errors import UnknownName, UsageError
from nas.proxies import COMBINED, PROXIES, Probe, parts_of, score
from tests.proxies.models import Mobile, TorchTransformer, Transformer, resnet

ON_MAPS = ("meco", "zen", "az_expressivity", "az_progressivity", "az_trainability")
ON_TRANSFORMERS = ("wpca", "vpca")
ON_NUMBERS = ("synflow", "jacob_cov", "epe_nas", *ON_MAPS)


def batch(n: int = 10, size: int = 12) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 3, size, size), torch.arange(n) % 5


def normed() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3), nn.ReLU()
    )
    return nn.Sequential(body, nn.Flatten(), nn.Dropout(0.5), nn.Linear(400, 5))


@pytest.mark.parametrize("name", [name for name in PROXIES if name not in ON_TRANSFORMERS])
def test_nothing_of_the_module_changes(name: str) -> None:
    model, (x, y) = normed(), batch()
    model.train()
    model[0].eval()
    before = copy.deepcopy(model.state_dict())
    state, given = torch.get_rng_state(), x.clone()
    first = nas.proxies.get(name)(model, x, y)
    assert math.isfinite(first)
    assert nas.proxies.get(name)(model, x, y) == pytest.approx(first, rel=1e-6)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training
    assert not model[0].training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, given)
    assert not x.requires_grad


def test_frozen_modules_score_the_same() -> None:
    model, (x, y) = normed(), batch()
    names = [name for name in PROXIES if name not in ON_TRANSFORMERS]
    with Probe(model, x, y) as probe:
        expected, _ = score(probe, names)
    model.requires_grad_(False)
    with Probe(model, x, y) as probe:
        found, _ = score(probe, names)
    assert found == pytest.approx(expected)


def test_many_proxies_of_one_probe_are_those_of_their_own() -> None:
    model, (x, y) = normed(), batch()
    names = [name for name in PROXIES if name not in ON_TRANSFORMERS]
    with Probe(model, x, y) as probe:
        together, seconds = score(probe, names)
    assert seconds.keys() == together.keys() == set(names)
    for name in names:
        assert nas.proxies.get(name)(model, x, y) == pytest.approx(together[name], rel=1e-5), name


def test_what_shares_a_pass_runs_it_once() -> None:
    model, (x, y) = normed(), batch()
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    model.register_forward_pre_hook(count)
    with Probe(model, x, y) as probe:
        score(probe, ["snip", "fisher", "grad_norm", "plain", "l2_norm", "jacob_cov", "epe_nas", "nwot", "swap"])
    assert passes == 1


def test_the_graph_goes_with_the_block() -> None:
    model, (x, y) = normed(), batch()
    with Probe(model, x, y) as probe:
        score(probe, ["snip", "jacob_cov"])
        assert "record" in probe.__dict__
    assert not {"record", "gradients", "jacobian", "input", "leaves"} & probe.__dict__.keys()


@pytest.mark.parametrize("model", [resnet, Mobile])
def test_networks_of_images(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net, (x, y) = model(), batch()
    with Probe(net, x, y) as probe:
        found, _ = score(probe, [name for name in PROXIES if name not in ON_TRANSFORMERS])
    assert all(math.isfinite(value) for value in found.values()), found


@pytest.mark.parametrize("model", [Transformer, TorchTransformer])
def test_transformers(model: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = model()
    tokens = model is Transformer
    x = torch.randint(0, 50, (10, 7)) if tokens else torch.randn(10, 7, 16)
    with Probe(net, x, torch.arange(10) % 5) as probe:
        for name in PROXIES:
            if name in ON_MAPS or (tokens and name in ON_NUMBERS):
                with pytest.raises(UsageError, match=r"real numbers|maps"):
                    nas.proxies.get(name).score(probe)
            else:
                assert math.isfinite(nas.proxies.get(name).score(probe)), name


class Dead(nn.Module):
    """A branch that leads nowhere."""

    def __init__(self, *, dead: bool) -> None:
        super().__init__()
        self.live, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.other = nn.Linear(5, 8) if dead else None

    def forward(self, x: Tensor) -> Tensor:
        if self.other is not None:
            torch.relu(self.other(x))
        return self.last(torch.relu(self.live(x)))  # type: ignore[no-any-return]


def test_a_network_that_ignores_its_input_has_no_score() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].weight.zero_()
    x, y = torch.randn(6, 5), torch.arange(6) % 3
    for name in ("jacob_cov", "epe_nas", "nwot"):
        assert not math.isfinite(nas.proxies.get(name)(model, x, y)), name


def test_nonlinearities_that_lead_nowhere_do_not_count() -> None:
    torch.manual_seed(0)
    with_branch, without = Dead(dead=True), Dead(dead=False)
    without.load_state_dict({k: v for k, v in with_branch.state_dict().items() if not k.startswith("other")})
    x, y = torch.randn(6, 5), torch.arange(6) % 3
    for name in ("nwot", "swap", "fisher", "snip"):
        assert nas.proxies.get(name)(with_branch, x, y) == pytest.approx(nas.proxies.get(name)(without, x, y))


@pytest.mark.parametrize("name", [name for name in PROXIES if name not in ("params", "macs")])
def test_a_network_of_nans_has_no_finite_score(name: str) -> None:
    torch.manual_seed(0)
    if name in ON_TRANSFORMERS:
        model, x = TorchTransformer(), torch.randn(10, 7, 16)
    else:
        model, x = resnet(), batch()[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    if name == "zen":  # draws weights of its own
        x = torch.full_like(x, math.nan)
        assert math.isfinite(nas.proxies.get(name)(model, x, batch()[1]))
        return
    assert not math.isfinite(nas.proxies.get(name)(model, x, batch()[1]))


@pytest.mark.parametrize("name", [name for name in PROXIES if name not in ("params", "l2_norm")])
def test_images_of_integers_are_refused(name: str) -> None:
    model = Transformer() if name in ON_TRANSFORMERS else resnet()
    x = torch.zeros(10, 3, 12, 12, dtype=torch.uint8)
    if name in ON_TRANSFORMERS:
        model, x = TorchTransformer(), torch.zeros(10, 7, 16, dtype=torch.uint8)
    with pytest.raises(UsageError, match=r"uint8|real numbers"):
        nas.proxies.get(name)(model, x, batch()[1])


class ByName(nn.Module):
    """Functions with their arguments by name, a gate that is a parameter, attention that torch fuses."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.last = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 5)
        self.gate = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(input=x, weight=self.conv.weight, bias=self.conv.bias)
        x = F.batch_norm(
            x, running_mean=self.norm.running_mean, running_var=self.norm.running_var, weight=self.norm.weight,
            bias=self.norm.bias, training=self.training,
        )  # fmt: skip
        x = F.relu(input=x) * F.relu(self.gate)[:, None, None]
        rows = x.flatten(2).transpose(1, 2)[:, None]
        x = F.scaled_dot_product_attention(rows, rows, rows)[:, 0].mean(1)
        return F.linear(input=x, weight=self.last.weight, bias=self.last.bias)


@pytest.mark.parametrize("name", [n for n in PROXIES if n not in ON_TRANSFORMERS and not n.startswith("az")])
def test_functions_may_be_called_by_name(name: str) -> None:
    torch.manual_seed(0)
    assert math.isfinite(nas.proxies.get(name)(ByName(), *batch()))


def test_zico_is_the_same_to_the_last_bit() -> None:
    found = []
    for spare in range(4):  # elsewhere in memory each time
        kept = [torch.empty(1000 + spare) for _ in range(spare * 50)]
        found.append(nas.proxies.get("zico")(normed(), *batch()))
        del kept
    assert len(set(found)) == 1


def test_an_ntk_of_tied_weights_is_refused() -> None:
    with pytest.raises(UsageError, match="used twice"):
        nas.proxies.get("ntk_condition")(Tied(), torch.randn(9, 6), torch.arange(9) % 6)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.again.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.again(torch.relu(self.first(x)))  # type: ignore[no-any-return]


def test_a_weight_with_two_names_counts_once_with_its_whole_gradient() -> None:
    torch.manual_seed(0)
    model, x, y = Tied(), torch.randn(9, 6), torch.arange(9) % 6
    nn.functional.cross_entropy(model(x), y).backward()
    grad = model.first.weight.grad
    assert grad is not None
    expected = float((model.first.weight * grad).abs().sum().detach())
    model.zero_grad()
    assert nas.proxies.get("snip")(model, x, y) == pytest.approx(expected, rel=1e-5)
    assert nas.proxies.get("l2_norm")(model, x, y) == pytest.approx(float(model.first.weight.detach().norm()))
    assert nas.proxies.get("params")(model, x, y) == 36 + 6 + 6


@pytest.mark.parametrize("name", ["jacob_cov", "nwot", "swap", "zico", "ntk_condition", "linear_regions", "epe_nas"])
def test_a_batch_of_one_is_refused_where_samples_are_compared(name: str) -> None:
    with pytest.raises(UsageError, match="at least 2"):
        nas.proxies.get(name)(nn.Sequential(nn.Linear(5, 4), nn.ReLU()), torch.randn(1, 5), torch.tensor([0]))


@pytest.mark.parametrize("name", [name for name in PROXIES if name not in ("params", "macs")])
def test_a_module_without_layers_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        nas.proxies.get(name)(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.randn(4, 3), torch.arange(4) % 3)


def test_wrong_inputs() -> None:
    model = nn.Linear(3, 2)
    y = torch.zeros(4, dtype=torch.long)
    with pytest.raises(UsageError, match="complex"):
        Probe(model, torch.randn(4, 3, dtype=torch.complex64), y)
    with pytest.raises(UsageError, match="as many classes"):
        Probe(model, torch.randn(4, 3), y[:3])
    with pytest.raises(UsageError, match="class 7"), Probe(model, torch.randn(4, 3), y + 7) as probe:
        nas.proxies.get("snip").score(probe)
    with pytest.raises(UsageError, match=r"logits \[N, classes\]"), Probe(model, torch.randn(4, 5, 3), y) as probe:
        nas.proxies.get("snip").score(probe)
    with pytest.raises(UsageError, match="one value a channel"):
        nas.proxies.get("snip")(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), torch.randn(1, 3), y[:1])


def test_names() -> None:
    with pytest.raises(UnknownName, match="gradsign"):
        nas.proxies.get("gradsing")
    with pytest.raises(UsageError, match="ranks a set"):
        nas.proxies.get("az_nas")
    assert parts_of(["az_nas", "macs", "snip"]) == [*COMBINED["az_nas"], "snip"]
    with pytest.raises(UnknownName):
        parts_of(["nothing"])


def test_batch_norms_use_the_batch_and_their_own_epsilon() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, eps=0.5), nn.Flatten(), nn.Linear(64, 5))
    x, y = torch.randn(6, 3, 4, 4), torch.arange(6) % 5
    weights = (model[0].weight, model[3].weight)
    model.train()
    grads = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), weights)
    expected = sum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, grads, strict=True))
    assert nas.proxies.get("snip")(model.eval(), x, y) == pytest.approx(expected, rel=1e-5)
