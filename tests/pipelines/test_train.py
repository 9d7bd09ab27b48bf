from __future__ import annotations

from nas.pipelines.train import FEWEST_EPOCHS, MOST_EPOCHS, epochs_for


def test_epochs_follow_the_number_of_images() -> None:
    assert epochs_for(100) == MOST_EPOCHS
    assert epochs_for(2_000) == 20
    assert epochs_for(50_000) == FEWEST_EPOCHS
