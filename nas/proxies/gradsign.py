"""GradSign: how far the gradients of single samples agree in sign at initialisation (Zhang and Jia 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UsageError
from nas.kernels.sign_accumulate import conv2d_signs, linear_signs
from nas.proxies.norms import by_own_map
from nas.proxies.per_sample import PerSample, Use
from nas.proxies.watching import Watch, quiet

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def gradsign(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Tau = sum over weights k of |sum over samples i of sign(d loss_i / d w_k)|, higher is better.

    The weights of convolutions and linear layers count, attention's projections among them; biases, norms and
    embeddings do not. A batch norm normalises each sample by its own map, as it does with a batch of one in training
    mode; where a map has one pixel it only scales and shifts. All samples take one forward and one backward pass; where
    a module cannot be batched so (tied weights, layers of other dimensions, a path that depends on values) they take
    one each.

    Args:
        model: Maps x to logits [N, classes]; nothing of it is changed.
        x: Inputs [N, ...], images or tokens.
        y: Classes [N].

    Raises:
        UsageError: No convolution or linear layer was used, complex inputs, or not as many classes as inputs.
    """
    return float(sum(counts.abs().sum(dtype=torch.float64) for counts in sign_counts(model, x, y)))


def sign_counts(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """For each weight, samples with a positive gradient minus samples with a negative one, in the weight's shape.

    Model, inputs and classes are those of `gradsign`.
    """
    if x.is_complex():
        raise UsageError("gradsign takes real inputs or tokens, and these are complex; pass their parts as channels")
    if len(x) != len(y) or not len(x):
        raise UsageError(f"gradsign needs as many classes as inputs, got {len(y)} and {len(x)}")
    try:
        found = _together(model, x, y)
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, RuntimeError):  # what torch.vmap says of what it cannot batch
        found = one_by_one(model, x, y)
    if not found:
        raise UsageError("gradsign needs a module that uses a convolution or a linear layer")
    return found


def _together(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    found: dict[Tensor, Tensor] = {}
    own = set(model.parameters())

    def collect(use: Use) -> None:
        if use.weight not in own:  # computed from parameters: no weight of a layer
            return
        if use.weight in found:
            raise NotImplementedError("a weight that is used twice: its sum must be complete before the sign")
        if use.geometry is None:
            found[use.weight] = linear_signs(use.inputs, use.grads)
        else:
            kernel = (use.weight.shape[2], use.weight.shape[3])
            found[use.weight] = conv2d_signs(use.inputs, use.grads, kernel, **use.geometry._asdict())

    mode = PerSample(collect)

    def loss(sample: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(model(sample.unsqueeze(0)), label.unsqueeze(0))

    with torch.enable_grad(), quiet(model):
        with mode:
            total = torch.vmap(loss)(x, y).sum()
        if total.requires_grad:
            torch.autograd.grad(total, mode.anchor, allow_unused=True)
    return list(found.values())


def one_by_one(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """The same by its definition, one forward and one backward pass a sample: the reference, for any module.

    Model, inputs and classes are those of `gradsign`.
    """
    own: dict[Tensor, Tensor] = {p: p.detach().requires_grad_() for p in model.parameters()}
    leaves = {name: own[p] for name, p in model.named_parameters(remove_duplicate=False)}
    counted = [own[p] for p in dict.fromkeys(_weights(model))]
    counts = [torch.zeros_like(weight) for weight in counted]
    used = False
    for sample, label in zip(x, y, strict=True):
        with torch.enable_grad(), quiet(model), Watch(by_own_map):
            logits = functional_call(model, leaves, (sample.unsqueeze(0),), tie_weights=False)
            loss = F.cross_entropy(logits, label.unsqueeze(0))
        if counted and loss.requires_grad:
            for count, grad in zip(counts, torch.autograd.grad(loss, counted, allow_unused=True), strict=True):
                if grad is not None:
                    used = True
                    count += grad.sign()
    return counts if used else []


def _weights(model: nn.Module) -> list[Tensor]:
    found = list[Tensor]()
    for module in model.modules():
        if isinstance(module, _LAYERS):
            found.append(module.weight)
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            found.append(module.in_proj_weight)
    return found
