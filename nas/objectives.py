"""What a search wants: objectives with a direction, constraints with a bound."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from nas.errors import UnknownName, UsageError

Direction = Literal["max", "min"]

# Zero-shot scores, see `nas.proxies`.
SCORES = (
    "gradsign", "wpca", "vpca", "synflow", "snip", "grasp", "fisher", "grad_norm", "jacob_cov", "epe_nas", "nwot",
    "zen", "l2_norm", "plain", "zico", "meco", "swap", "ntk_condition", "linear_regions", "az_expressivity",
    "az_progressivity", "az_trainability",
)  # fmt: skip

# Rankings of a set of networks by several scores.
COMBINED: dict[str, tuple[str, ...]] = {
    "te_nas": ("ntk_condition", "linear_regions"),
    "az_nas": ("az_expressivity", "az_progressivity", "az_trainability", "macs"),
}

# Every metric that an evaluator may report, with the direction in which it is better.
METRICS: dict[str, Direction] = {
    "accuracy": "max",
    "loss": "min",
    "params": "min",
    "macs": "min",
    "latency_ms": "min",
    "peak_mem_bytes": "min",
    **dict.fromkeys(SCORES, "max"),
}


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the direction in which it is better."""

    metric: str
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read "accuracy", "min:macs" or "max:accuracy".

        Raises:
            UnknownName: The metric does not exist.
            UsageError: The direction is neither "min" nor "max".
        """
        direction, _, metric = text.rpartition(":")
        metric = metric.strip()
        if metric in COMBINED:
            raise UsageError(
                f"{metric} ranks sets of networks; as objectives take its parts {', '.join(COMBINED[metric])}"
            )
        if metric not in METRICS:
            raise UnknownName("metric", metric, METRICS)
        if direction == "":
            return cls(metric, METRICS[metric])
        if direction == "min":
            return cls(metric, "min")
        if direction == "max":
            return cls(metric, "max")
        raise UsageError(f"objective {text!r}: the direction must be 'min' or 'max', got {direction!r}")

    def __str__(self) -> str:
        return f"{self.direction}:{self.metric}"

    def as_minimised(self, value: float) -> float:
        """`value` with its sign turned where more is better."""
        return value if self.direction == "min" else -value


@dataclass(frozen=True, slots=True)
class Constraint:
    """An inclusive bound on a metric: `metric <= bound`, or `metric >= bound`."""

    metric: str
    sense: Literal["<=", ">="]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read "macs<=3e6" or "accuracy>=0.9".

        Raises:
            UnknownName: The metric does not exist.
            UsageError: The text is not of that form, or the bound is not a finite number.
        """
        match = re.fullmatch(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*", text)
        if match is None:
            raise UsageError(f"constraint {text!r}: write it as 'macs<=3e6' or 'accuracy>=0.9'")
        metric, sense, number = match.groups()
        if metric not in METRICS:
            raise UnknownName("metric", metric, METRICS)
        try:
            bound = float(number)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise UsageError(f"constraint {text!r}: {number!r} is not a finite number")
        return cls(metric, "<=" if sense == "<=" else ">=", bound)

    def __str__(self) -> str:
        return f"{self.metric}{self.sense}{self.bound:.12g}"

    def violation(self, value: float) -> float:
        """How far `value` lies outside the bound, relative to it; 0.0 inside."""
        excess = value - self.bound if self.sense == "<=" else self.bound - value
        return max(0.0, excess) / max(abs(self.bound), 1e-12)
