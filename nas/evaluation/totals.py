"""What an evaluator has done so far, and what sharing and racing saved. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all calls.

    Args:
        architectures: How many were asked for, identical ones too.
        seconds: Wall time of the calls.
        macs_alone: Multiply-adds that one-by-one evaluation of all of them takes, calibration included.
        macs_shared: Those of them saved by common prefixes, identical architectures and kept activations.
        macs_raced: Those of them saved by stopping candidates that cannot win.
    """

    architectures: int = 0
    seconds: float = 0.0
    macs_alone: float = 0.0
    macs_shared: float = 0.0
    macs_raced: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        """Both together; seconds add up, so sum only what ran one after the other."""
        return Totals(
            self.architectures + other.architectures,
            self.seconds + other.seconds,
            self.macs_alone + other.macs_alone,
            self.macs_shared + other.macs_shared,
            self.macs_raced + other.macs_raced,
        )

    def __sub__(self, earlier: Totals) -> Totals:
        """What was done since `earlier`."""
        return Totals(
            self.architectures - earlier.architectures,
            self.seconds - earlier.seconds,
            self.macs_alone - earlier.macs_alone,
            self.macs_shared - earlier.macs_shared,
            self.macs_raced - earlier.macs_raced,
        )

    def to_json(self) -> dict[str, float]:
        """With speed (architectures a second) and shares of `macs_alone` in 0..1; 0 where nothing was done."""
        return {
            "architectures": self.architectures,
            "evaluation_s": self.seconds,
            "architectures_per_s": self.architectures / self.seconds if self.seconds > 0 else 0.0,
            "share_saved_by_prefixes": self.macs_shared / self.macs_alone if self.macs_alone > 0 else 0.0,
            "share_saved_by_racing": self.macs_raced / self.macs_alone if self.macs_alone > 0 else 0.0,
        }
