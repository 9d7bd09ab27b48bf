"""Proxies that ask for no data: all-ones or random inputs of the batch's shape; higher is better."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor
from torch.func import functional_call

from nas.errors import UsageError
from nas.proxies.probing.batch_norms import normalise_by_batch, skip_norm
from nas.proxies.probing.probe import Probe
from nas.proxies.probing.recorder import FeatureMap, OperationRecorder, eval_mode
from nas.proxies.probing.spectra import eigenvalues
from nas.proxies.proxy import Proxy, score_metric

MECO_SIZE = 64  # height and width of its input
ZEN_BATCH, ZEN_REPEATS, ZEN_STEP = 16, 32, 0.01


def synflow(probe: Probe) -> float:
    """Sum of theta dR/dtheta, R the summed output for ones and |parameters|, no batch norm (Tanaka et al. 2020).

    In double precision; what overflows even there is infinite.

    Raises:
        UsageError: Integer inputs.
    """
    ones = torch.ones_like(probe.real_inputs("synflow")[:1], dtype=torch.float64)
    inputs = (ones, *(part[:1] for part in probe.arguments[1:]))
    own = {leaf: leaf.detach().double().abs().requires_grad_() for leaf in probe.leaves.values()}
    state = {name: own[leaf] for name, leaf in probe.leaves.items()}
    state |= {name: b.double().abs() for name, b in probe.model.named_buffers() if b.is_floating_point()}
    operations = OperationRecorder(skip_norm)
    with torch.enable_grad(), eval_mode(probe.model), operations:
        output = functional_call(probe.model, state, inputs, tie_weights=False)
    weights = list(dict.fromkeys(layer.weight for layer in operations.layers))
    if not weights:
        raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
    grads = torch.autograd.grad(output.sum(), weights, allow_unused=True)
    return float(sum((w.detach() * g).sum() for w, g in zip(weights, grads, strict=True) if g is not None))


def meco(probe: Probe) -> float:
    """Sum over convolutions of the least eigenvalue of the correlations of their maps (Jiang et al. 2023).

    The input is one random image of 64 pixels, or of the batch's size where the module takes no other. Constant maps
    are correlated with nothing.

    Raises:
        UsageError: Integer inputs, or a module without maps.
    """
    shape = probe.real_inputs("meco").shape[1:]
    generator = probe.generator()
    sizes = [(shape[0], MECO_SIZE, MECO_SIZE), tuple(shape)] if len(shape) == 3 else [tuple(shape)]
    maps: list[Tensor] = []
    for size in sizes:
        x = torch.randn(1, *size, generator=generator, device=probe.x.device, dtype=probe.x.dtype)
        try:
            with torch.no_grad(), eval_mode(probe.model), OperationRecorder(normalise_by_batch) as operations:
                functional_call(probe.model, dict(probe.leaves), (x,), tie_weights=False)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # a module of one image size
            if size == sizes[-1]:
                raise
            continue
        maps = [layer.output[0].flatten(1) for layer in operations.layers if layer.output.dim() == 4]
        break
    maps = [m for m in maps if m.shape[1] > 1]
    if not maps:
        raise UsageError("meco compares feature maps, and this module has none of more than one pixel")
    return float(sum(_least_eigenvalue(m) for m in maps))


def zen(probe: Probe) -> float:
    """Log E |f(x) - f(x + a z)| + sum over batch norms of log sqrt(mean variance) (Lin et al. 2021).

    x, z and the weights of convolutions and linear layers are standard normal, norms do not scale; f is the last
    feature map, | | the sum over its elements. 32 draws with 16 samples.

    Raises:
        UsageError: Integer inputs, or a module without maps.
    """
    shape, generator = probe.real_inputs("zen").shape[1:], probe.generator()
    scores = [_zen_draw(probe, (ZEN_BATCH, *shape), generator) for _ in range(ZEN_REPEATS)]
    return sum(scores) / len(scores)


def _zen_draw(probe: Probe, shape: tuple[int, ...], generator: torch.Generator) -> float:
    state = dict[str, Tensor]()
    for name, leaf in probe.leaves.items():
        if leaf.dim() > 1:
            state[name] = torch.randn(leaf.shape, generator=generator, device=leaf.device, dtype=leaf.dtype)
        else:
            state[name] = torch.full_like(leaf, float(not name.endswith("bias")), requires_grad=False)
    x, z = (torch.randn(shape, generator=generator, device=probe.x.device, dtype=probe.x.dtype) for _ in range(2))
    last, norms = list[Tensor](), 0.0
    for i, given in enumerate((x, x + ZEN_STEP * z)):
        maps = _maps(probe, state, given)
        last.append(maps[-1].output)
        if i == 0:
            spreads = [m.norm_input.var((0, 2, 3), correction=0).mean() for m in maps if m.norm_input is not None]
            norms = sum(0.5 * math.log(float(spread) + 1e-5) for spread in spreads)
    distance = float((last[0] - last[1]).abs().flatten(1).sum(1).mean())
    return (math.log(distance) if distance > 0 else -math.inf) + norms


def _maps(probe: Probe, state: dict[str, Tensor], x: Tensor) -> list[FeatureMap]:
    with torch.no_grad(), eval_mode(probe.model), OperationRecorder(normalise_by_batch) as operations:
        functional_call(probe.model, state, (x,), tie_weights=False)
    if not operations.layers:
        raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
    if not operations.maps:
        raise UsageError("zen compares feature maps, and this module has none")
    maps: list[FeatureMap] = operations.maps
    return maps


def _least_eigenvalue(rows: Tensor) -> float:
    """Of the correlations of rows [C, P]."""
    rows = F.normalize(rows.double() - rows.double().mean(1, keepdim=True))
    return float(eigenvalues(rows @ rows.T)[0])


SYNFLOW = Proxy(score_metric("synflow"), synflow, needs="real_inputs")
MECO = Proxy(score_metric("meco"), meco, needs="real_inputs")
ZEN = Proxy(score_metric("zen"), zen, needs="real_inputs")
