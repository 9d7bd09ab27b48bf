"""Racing on made-up answers, where the truth is known."""

from __future__ import annotations

import pytest
import torch

from nas.errors import UsageError
from nas.evaluation.population.racing import Racing, round_ends
from nas.evaluation.population.scores import Scores
from nas.objectives import Objective
from nas.task import ImageClassification

TASK = ImageClassification(8, 3, 5)
ACCURACY, MACS = Objective.parse("accuracy"), Objective.parse("min:macs")


def answers(accuracies: list[float], seen: int, total: int = 1000, seed: int = 0) -> Scores:
    """Independent answers of that accuracy to the first `seen` images."""
    generator = torch.Generator().manual_seed(seed)
    scores = Scores(len(accuracies), TASK, total)
    chances = torch.tensor(accuracies)[:, None]
    right, loss = scores.values
    right[:, :seen] = torch.rand(len(accuracies), seen, generator=generator) < chances
    loss[:, :seen] = 1 - right[:, :seen]
    scores.counts = [seen] * len(accuracies)
    return scores


def no_costs(members: int) -> torch.Tensor:
    return torch.empty(members, 0)


@pytest.mark.parametrize("wrong", ["min:accuracy", "max:loss", "max:macs"])
def test_directions_that_it_does_not_know(wrong: str) -> None:
    objectives = dict.fromkeys(map(Objective.parse, (wrong, "accuracy" if "macs" in wrong else "macs")))
    with pytest.raises(UsageError, match=f"racing cannot run {wrong}"):
        Racing(tuple(objectives)).check(TASK)


@pytest.mark.parametrize("metric", ["accuracy", "min:loss"])
def test_the_hopeless_are_stopped_and_the_best_are_not(metric: str) -> None:
    racing = Racing((Objective.parse(metric),), keep=2)
    lost = racing.eliminated(answers([0.9, 0.88, 0.87, 0.5, 0.4], seen=200), range(5), no_costs(5))
    assert lost == [3, 4]


def test_more_kept_than_candidates_stops_nobody() -> None:
    racing = Racing((ACCURACY,), keep=5)
    assert racing.eliminated(answers([0.9, 0.1, 0.1, 0.1, 0.1], seen=500), range(5), no_costs(5)) == []


def test_equal_answers_stop_nobody() -> None:
    scores = answers([0.9, 0.9, 0.9], seen=500)
    scores.values[:] = scores.values[:, :1].clone()
    assert Racing((ACCURACY,), keep=1).eliminated(scores, range(3), no_costs(3)) == []


def test_a_few_images_stop_nobody() -> None:
    for racing in (Racing((ACCURACY,), keep=1), Racing((Objective.parse("min:loss"),), keep=1)):
        for seen in (1, 29):
            assert racing.eliminated(answers([0.95, 0.3], seen=seen, total=50), range(2), no_costs(2)) == []


def test_all_images_seen_stops_nobody() -> None:
    assert Racing((ACCURACY,), keep=1).eliminated(answers([0.95, 0.3], seen=1000), range(2), no_costs(2)) == []


def test_with_costs_only_what_is_dominated_is_stopped() -> None:
    costs = torch.tensor([[5.0], [1.0], [6.0], [5.0]])
    racing = Racing((ACCURACY, MACS))
    # The second is the worst but cheapest; the third is dearer and worse than the first; the fourth as dear and worse.
    assert racing.eliminated(answers([0.9, 0.4, 0.6, 0.5], seen=300), range(4), costs) == [2, 3]


def test_only_those_in_the_race_are_compared() -> None:
    scores = answers([0.99, 0.6, 0.58], seen=300)
    scores.counts[0] = 100
    assert Racing((ACCURACY,), keep=1).eliminated(scores, [1, 2], no_costs(3)) == []


def test_wrong_decisions_are_as_rare_as_promised() -> None:
    """Of two equally good candidates neither should be stopped, in all rounds of 300 races together but a few."""
    racing, wrong = Racing((ACCURACY,), keep=1, confidence=0.95, rounds=5), 0
    for seed in range(300):
        whole = answers([0.7, 0.7], seen=1000, seed=seed)
        better = int(whole.values[0, 1].sum() > whole.values[0, 0].sum())
        for seen in (200, 400, 600, 800):
            scores = Scores(2, TASK, 1000)
            scores.values[:, :, :seen], scores.counts = whole.values[:, :, :seen], [seen, seen]
            lost = racing.eliminated(scores, range(2), no_costs(2))
            if lost:
                wrong += lost == [better]
                break
    assert wrong <= 0.05 * 300


def test_wrong_settings() -> None:
    with pytest.raises(UsageError, match="'latency_ms'"):
        Racing((ACCURACY, Objective.parse("min:latency_ms"))).check(TASK)
    with pytest.raises(UsageError, match="one objective that examples decide, accuracy or loss, got min:macs; "):
        Racing((MACS,)).check(TASK)
    with pytest.raises(UsageError, match="keep >= 1"):
        Racing((ACCURACY,), keep=0)


def test_rounds_divide_the_chunks() -> None:
    assert round_ends(20, 8) == [3, 5, 8, 10, 13, 15, 18, 20]
    assert round_ends(3, 8) == [1, 2, 3]
