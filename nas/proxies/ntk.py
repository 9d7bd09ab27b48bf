"""TE-NAS's condition number of the neural tangent kernel (Chen, Gong and Wang 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.errors import UsageError
from nas.kernels.sign_accumulate import unfolded
from nas.proxies.probing.per_sample import LayerBackward, PerSampleMode
from nas.proxies.probing.probe import Probe
from nas.proxies.probing.recorder import eval_mode
from nas.proxies.probing.spectra import eigenvalues
from nas.proxies.proxy import Proxy, score_metric

SAMPLES = 32


def ntk_condition(probe: Probe) -> float:
    """-kappa of the kernel of the first 32 samples: its largest eigenvalue over its least; higher is better.

    The kernel's entries are products of the samples' gradients of the summed logits, over the weights of convolutions
    and linear layers. A batch norm normalises each sample by its own map, so that one backward pass has all gradients,
    where the paper's uses the batch. A kernel without full rank has condition infinity.

    Raises:
        UsageError: Fewer than two samples, or a module that cannot be batched sample by sample.
    """
    if len(probe.x) < 2:
        raise UsageError("ntk_condition compares samples; give a batch of at least 2")
    grams: list[Tensor] = []
    mode = PerSampleMode(probe.model, lambda call: grams.append(_gram(call)))

    def total_of(*sample: Tensor) -> Tensor:
        logits: Tensor = probe.model(*(part.unsqueeze(0) for part in sample))
        return logits.sum()

    try:
        with torch.enable_grad(), eval_mode(probe.model):
            with mode:
                total = torch.vmap(total_of)(*(part[:SAMPLES] for part in probe.arguments)).sum()
            if total.requires_grad:
                torch.autograd.grad(total, mode.anchor, allow_unused=True)
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, RuntimeError) as error:  # what torch.vmap says of what it cannot batch
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"ntk_condition needs a module whose samples can be batched: {reason}") from None
    if not grams:
        raise UsageError("a proxy needs a module that uses a convolution or a linear layer")
    values = eigenvalues(torch.stack(grams).sum(0))
    least, most = float(values[0]), float(values[-1])
    if math.isnan(most):
        return math.nan
    return -most / least if least > 1e-12 * most else -math.inf


def _gram(call: LayerBackward) -> Tensor:
    """[N, N]: products of the samples' gradients of one weight."""
    if call.geometry is None:
        rows = torch.bmm(call.grads.transpose(1, 2), call.inputs)
    else:
        g = call.geometry
        n, groups = len(call.inputs), g.groups
        kernel = (call.weight.shape[2], call.weight.shape[3])
        a = unfolded(call.inputs, kernel, g.stride, g.padding, g.dilation)
        grads = call.grads.reshape(n, groups, -1, call.grads[0, 0].numel())
        rows = torch.matmul(grads, a.reshape(n, groups, -1, grads.shape[3]).mT)
    rows = rows.flatten(1).double()
    return rows @ rows.T


NTK_CONDITION = Proxy(score_metric("ntk_condition"), ntk_condition)
