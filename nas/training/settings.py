"""What every training is told."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """One training run.

    Args:
        epochs: Passes over the training split.
        batch_size: Examples a step.
        learning_rate: Peak, at this batch size.
        seed: Of order, augmentation, sub-networks and noise; not negative.
        device: "cpu" or "cuda".

    Raises:
        UsageError: A number is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0:
            raise UsageError(
                f"training needs epochs >= 1, batch size >= 2 and learning rate > 0, "
                f"got {self.epochs}, {self.batch_size} and {self.learning_rate}"
            )
        if self.seed < 0:
            raise UsageError(f"a seed must not be negative, got {self.seed}")

    @property
    def identity(self) -> dict[str, int | float]:
        """What decides the result; the device does not."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }
