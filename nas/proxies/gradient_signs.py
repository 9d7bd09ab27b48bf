"""GradSign: how far the gradients of single samples agree in sign at initialisation (Zhang and Jia 2022)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UsageError
from nas.kernels.sign_accumulate import conv2d_signs, linear_signs
from nas.proxies.probing.batch_norms import normalise_by_sample
from nas.proxies.probing.checks import check_batch, check_classes, check_logits
from nas.proxies.probing.per_sample import LayerBackward, PerSampleMode
from nas.proxies.probing.recorder import OperationRecorder, eval_mode
from nas.proxies.proxy import Proxy, score_metric

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def gradsign(model: nn.Module, x: Tensor, y: Tensor, *, mask: Tensor | None = None) -> float:
    """Tau = sum over weights k of |sum over samples i of sign(d loss_i / d w_k)|, higher is better.

    The weights of convolutions and linear layers count, attention's projections among them; biases, norms and
    embeddings do not. A batch norm normalises each sample by its own map, as it does with a batch of one in training
    mode; where a map has one pixel it only scales and shifts. All samples take one forward and one backward pass; where
    a module cannot be batched so (tied weights, layers of other dimensions, a path that depends on values) they take
    one each. NaN where the loss is not finite.

    >>> x, y = torch.randn(8, 3), torch.arange(8) % 2
    >>> 0 <= gradsign(nn.Linear(3, 2), x, y) <= 8 * 6
    True

    Args:
        model: Maps x to logits [N, classes], or (x, mask) where there is a mask; nothing of it is changed.
        x: Inputs [N, ...], images or tokens.
        y: Classes [N].
        mask: For tokens [N, T], true for those that count.

    Raises:
        UsageError: No convolution or linear layer was used, complex or integer inputs where a layer multiplies, classes
            that do not fit, or weights that are computed from parameters where samples have to go one by one.
    """
    loss, counts = _loss_and_counts(model, x, y, mask)
    if not math.isfinite(loss):
        return math.nan
    return float(sum(count.abs().sum(dtype=torch.float64) for count in counts.values()))


def sign_counts(model: nn.Module, x: Tensor, y: Tensor, *, mask: Tensor | None = None) -> dict[Tensor, Tensor]:
    """For each weight, samples with a positive gradient minus samples with a negative one, in the weight's shape.

    Arguments are those of `gradsign`.
    """
    return _loss_and_counts(model, x, y, mask)[1]


def _loss_and_counts(model: nn.Module, x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[float, dict[Tensor, Tensor]]:
    check_batch("gradsign", x, y)
    try:
        loss, counts = batched(model, x, y, mask)
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, RuntimeError):  # what torch.vmap says of what it cannot batch
        loss, counts = one_by_one(model, x, y, mask)
    if not counts:
        raise UsageError("gradsign needs a module that uses a convolution or a linear layer")
    return loss, counts


def batched(model: nn.Module, x: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[float, dict[Tensor, Tensor]]:
    """The summed loss, and the counts."""
    counts: dict[Tensor, Tensor] = {}

    def collect(call: LayerBackward) -> None:
        if call.geometry is None:
            counts[call.weight] = linear_signs(call.inputs, call.grads)
        else:
            kernel = (call.weight.shape[2], call.weight.shape[3])
            counts[call.weight] = conv2d_signs(call.inputs, call.grads, kernel, **call.geometry._asdict())

    def loss(label: Tensor, *sample: Tensor) -> Tensor:
        logits = model(*(part.unsqueeze(0) for part in sample))
        check_logits(logits, 1)
        check_classes(y, logits.shape[1])
        return F.cross_entropy(logits, label.unsqueeze(0))

    mode = PerSampleMode(model, collect)
    with torch.enable_grad(), eval_mode(model):
        with mode:
            total = torch.vmap(loss)(y, x, *(() if mask is None else (mask,))).sum()
        if total.requires_grad:
            torch.autograd.grad(total, mode.anchor, allow_unused=True)
    return float(total.detach()), counts


def one_by_one(
    model: nn.Module, x: Tensor, y: Tensor, mask: Tensor | None = None
) -> tuple[float, dict[Tensor, Tensor]]:
    """The same by its definition, one forward and one backward pass a sample: the reference, for any module.

    Arguments are those of `gradsign`; the counts are by parameter.
    """
    own: dict[Tensor, Tensor] = {p: p.detach().requires_grad_() for p in model.parameters()}
    leaves = {name: own[p] for name, p in model.named_parameters(remove_duplicate=False)}
    counts: dict[Tensor, Tensor] = {p: torch.zeros_like(p) for p in _weights(model)}
    counted = [own[p] for p in counts]
    used, total = False, torch.zeros((), device=x.device)
    for i in range(len(x)):
        sample = (x[i : i + 1],) if mask is None else (x[i : i + 1], mask[i : i + 1])
        with torch.enable_grad(), eval_mode(model), OperationRecorder(normalise_by_sample):
            logits = functional_call(model, leaves, sample, tie_weights=False)
            if i == 0:  # once: on a GPU each look at values waits for it
                check_logits(logits, 1)
                check_classes(y, logits.shape[1])
            loss = F.cross_entropy(logits, y[i : i + 1])
        total += loss.detach()
        if counted and loss.requires_grad:
            grads = torch.autograd.grad(loss, counted, allow_unused=True)
            for count, grad in zip(counts.values(), grads, strict=True):
                if grad is not None:
                    used = True
                    count += grad.sign()
    return float(total), counts if used else {}


def _weights(model: nn.Module) -> list[Tensor]:
    weights: dict[Tensor, None] = {}
    for module in model.modules():
        weight = None
        if isinstance(module, _LAYERS):
            weight = module.weight
        elif isinstance(module, nn.MultiheadAttention):
            weight = module.in_proj_weight
        if weight is not None and not isinstance(weight, nn.Parameter):
            raise UsageError(
                f"gradsign counts weights that are parameters, and one of a {type(module).__name__} is computed from "
                "others; remove its weight norm or parametrization first"
            )
        weights |= {} if weight is None else {weight: None}
    return list(weights)


GRADSIGN = Proxy(score_metric("gradsign"), lambda probe: gradsign(probe.model, probe.x, probe.y, mask=probe.mask))
