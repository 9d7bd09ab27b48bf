"""Zero-shot scores: functions of a module and a batch, without training."""

from nas.proxies.gradsign import gradsign
from nas.proxies.wpca import vpca, wpca

__all__ = ["gradsign", "vpca", "wpca"]
