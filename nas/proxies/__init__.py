"""Zero-shot scores: functions of a module and a batch, without training."""

from nas.proxies.gradsign import gradsign

__all__ = ["gradsign"]
