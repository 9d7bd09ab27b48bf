"""Which device a call computes on."""

from __future__ import annotations

from nas.errors import UsageError


def resolve_device(name: str | None) -> str:
    """The device to compute on; None takes CUDA where there is one.

    Raises:
        UsageError: No such device here.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise UsageError(f"--device {name!r}: choose cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices; try cpu")
    return name
