"""What every proxy has to beat: parameters and multiply-adds."""

from __future__ import annotations

import torch
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from nas.proxies.probing.batch_norms import normalise_by_batch
from nas.proxies.probing.probe import Probe
from nas.proxies.probing.recorder import OperationRecorder, eval_mode
from nas.proxies.proxy import Proxy
from nas.search_spaces.metrics import MACS, PARAMS


def params(probe: Probe) -> float:
    """Parameters, each once."""
    return float(sum(p.numel() for p in probe.model.parameters()))


def macs(probe: Probe) -> float:
    """Multiply-adds of convolutions and matrix products for one input."""
    inputs = tuple(part[:2] for part in probe.arguments)
    with (
        FlopCounterMode(display=False) as counter,
        torch.no_grad(),
        eval_mode(probe.model),
        OperationRecorder(normalise_by_batch),
    ):
        functional_call(probe.model, dict(probe.leaves), inputs, tie_weights=False)
    return float(counter.get_total_flops()) / 2 / len(inputs[0])


PARAMS_PROXY = Proxy(PARAMS, params)
MACS_PROXY = Proxy(MACS, macs)
