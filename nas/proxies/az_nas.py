"""AZ-NAS's scores of the blocks of a network (Lee and Ham 2024); higher is better, and ranks are what it combines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone uses
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UsageError
from nas.proxies.probing.batch_norms import normalise_by_batch
from nas.proxies.probing.probe import Probe
from nas.proxies.probing.recorder import OperationRecorder, eval_mode
from nas.proxies.probing.spectra import eigenvalues, spectral_norm
from nas.proxies.proxy import Proxy, score_metric


def az_expressivity(probe: Probe) -> float:
    """Sum over blocks of the entropy of the principal components of their outputs' channels, for random inputs."""
    return sum(probe.cached(_entropies))


def az_progressivity(probe: Probe) -> float:
    """The least growth of that entropy from one block to the next; 0 for a single block."""
    growth = [b - a for a, b in pairwise(probe.cached(_entropies))]
    return math.nan if any(map(math.isnan, growth)) else min(growth, default=0.0)


def az_trainability(probe: Probe) -> float:
    """Mean over blocks of 2 - s - 1/s, s the spectral norm of their mean Jacobian, estimated by random signs.

    A block that passes its input on says nothing and is left out.

    Raises:
        UsageError: Fewer than two blocks, or none that changes anything.
    """
    features, generator, scores = probe.cached(_features), probe.generator(), list[float]()
    if len(features) < 2:
        raise UsageError("az_trainability looks from block to block, and this module has fewer than two")
    for before, after in pairwise(features):
        signs = torch.randint(0, 2, after.shape, generator=generator, device=after.device).to(after.dtype) * 2 - 1
        (back,) = torch.autograd.grad(after, [before], signs, retain_graph=True, allow_unused=True)
        if back is None or (back.shape == signs.shape and torch.equal(back, signs)):
            continue
        norm = spectral_norm(_mean_product(back, signs))
        scores.append(2 - norm - 1 / (norm + 1e-6))
    if not scores:
        raise UsageError("az_trainability found no block that changes its input")
    return sum(scores) / len(scores)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """What a module is a sequence of: the members of its outermost sequences that have parts of their own.

    Sequences in sequences, such as the stages of a ResNet, are opened; what they hold is not. Where no member has
    parts, members without any are the blocks; where there is no sequence, the module's parts are.
    """
    level, members = [model], list(_members(model))
    while level and not members:
        level = [child for part in level for child in part.children()]
        members = [member for part in level for member in _members(part)]
    return [m for m in members if any(True for _ in m.children())] or members or list(model.children())


def _members(module: nn.Module) -> Iterator[nn.Module]:
    inside = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _members(child)
        elif inside:
            yield child


def _features(probe: Probe) -> list[Tensor]:
    """Outputs of the blocks, [N, C, H, W], in the order of use, with their graph."""
    generator, features = probe.generator(), list[Tensor]()
    if len(probe.x) < 2:
        raise UsageError("az_nas compares samples; give a batch of at least 2")
    shape, dtype = probe.real_inputs("az_nas").shape, probe.x.dtype
    x = torch.randn(shape, generator=generator, device=probe.x.device, dtype=dtype)

    def keep_output(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            features.append(output)

    with (
        ExitStack() as hooks,
        torch.enable_grad(),
        eval_mode(probe.model),
        OperationRecorder(normalise_by_batch) as operations,
    ):
        for block in blocks_of(probe.model):
            hooks.callback(block.register_forward_hook(keep_output).remove)
        functional_call(probe.model, probe.leaves, (x,), tie_weights=False)
    if not operations.layers:
        raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
    if not features:
        raise UsageError("az_nas looks at blocks that give maps, and found none in this module")
    return features


def _entropies(probe: Probe) -> list[float]:
    entropies = []
    for feature in probe.cached(_features):
        rows = feature.detach().movedim(1, -1).flatten(0, -2)
        rows = rows - rows.mean(0)
        values = eigenvalues((rows.T @ rows / len(rows)).double()).clamp(min=0)
        shares = values / values.sum()
        entropies.append(float(-(shares * torch.log(shares + 1e-8)).sum()))
    return entropies


def _mean_product(back: Tensor, signs: Tensor) -> Tensor:
    """[C, C']: the mean over samples and positions of input times output gradients.

    A larger input map is folded where it is a multiple; maps that do not fit so are averaged to the smaller size.
    """
    stride = back.shape[2] // signs.shape[2]
    if stride > 1 and back.shape[2:] == (stride * signs.shape[2], stride * signs.shape[3]):
        back = F.pixel_unshuffle(back, stride)
    size = (min(back.shape[2], signs.shape[2]), min(back.shape[3], signs.shape[3]))
    back, signs = (t if t.shape[2:] == size else F.adaptive_avg_pool2d(t, size) for t in (back, signs))
    a, b = (t.movedim(1, -1).flatten(0, -2) for t in (back, signs))
    return a.T @ b / len(a)


AZ_EXPRESSIVITY = Proxy(score_metric("az_expressivity"), az_expressivity, needs="real_inputs")
AZ_PROGRESSIVITY = Proxy(score_metric("az_progressivity"), az_progressivity, needs="real_inputs")
AZ_TRAINABILITY = Proxy(score_metric("az_trainability"), az_trainability, needs="real_inputs")
