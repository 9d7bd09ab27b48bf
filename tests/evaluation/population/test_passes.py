"""Populations through calibration and scoring, on inputs of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from nas import search_spaces
from nas.evaluation.population.malloc import HeapLimit
from nas.evaluation.population.memory_budget import GIB, Partition
from nas.evaluation.population.passes import Population, cost_matrix
from nas.evaluation.population.prefix_cache import WARM_UP, PrefixCache
from nas.evaluation.population.racing import Racing
from nas.evaluation.population.scores import Scores
from nas.evaluation.population.trie import build_trie
from nas.objectives import Objective
from nas.search_spaces import Architecture
from nas.supernets import MobileNetSupernet, Supernet
from nas.task import ImageClassification
from nas.testing.subnetworks import randomise
from tests.evaluation.population.chains import ChainSupernet, members, outputs_alone

CALIBRATION, SCORED, CHUNK = 24, 40, 8
TASK = ImageClassification(8, 3, 5)  # only its classes matter here
LARGE = Partition(siblings=GIB, weights=GIB, cache=2**24)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=generator())


def sequences(count: int) -> Tensor:
    return torch.randn(count, 7, generator=generator())


def tokens(count: int) -> Tensor:
    return torch.randint(11, (count, 9), generator=generator())


KINDS: dict[str, tuple[Callable[[int], Tensor], Callable[[], ChainSupernet]]] = {
    "images": (images, ChainSupernet),
    "sequences": (sequences, lambda: ChainSupernet(inputs=7)),
    "tokens": (tokens, lambda: ChainSupernet(tokens=11)),
}


class Run:
    """Populations of one supernet, one after the other, on one batch of calibration inputs and some to score."""

    def __init__(self, supernet: Supernet, x: Tensor, *, partition: Partition = LARGE) -> None:
        self.supernet, self.partition = supernet.eval(), partition
        self.labels = torch.arange(SCORED) % 5
        self.calibration, self.scored = x[:CALIBRATION], x[CALIBRATION:]
        scored = zip(self.scored.split(CHUNK), self.labels.split(CHUNK), strict=True)
        self.chunks = [(self.calibration, torch.zeros(CALIBRATION, dtype=torch.int64)), *scored]
        sizes = [len(inputs) for inputs, _ in self.chunks]
        self.cache = PrefixCache(partition.cache, sizes, 1, 4, torch.device("cpu"))
        self.macs = 0.0

    def __call__(self, archs: Sequence[Architecture], *, racing: Racing | None = None) -> Scores:
        trie = build_trie(self.supernet, archs)
        self.cache.admit(trie)
        population = Population(trie, self.cache, self.chunks.__getitem__, self.partition, HeapLimit(GIB), folding=True)
        scores = Scores(len(archs), TASK, SCORED)
        with torch.inference_mode():
            population.calibrate(range(1))
            population.score(range(1, len(self.chunks)), scores, racing=racing, costs=cost_matrix([], len(archs)))
        self.macs = population.macs
        return scores


@pytest.mark.parametrize("kind", KINDS)
def test_members_score_as_alone(kind: str) -> None:
    """Tuples between the steps, inputs of any shape, and one pass for all of them."""
    make, build = KINDS[kind]
    run = Run(build(), make(CALIBRATION + SCORED))
    archs = members(run.supernet.space, 20)
    scores = run(archs)
    for arch, metrics in zip(archs, scores.metrics(), strict=True):
        outputs = outputs_alone(run.supernet, arch, run.calibration, run.scored)
        assert metrics["accuracy"] == pytest.approx(float((outputs.argmax(1) == run.labels).float().mean()))
        loss = float(torch.nn.functional.cross_entropy(outputs, run.labels))
        assert metrics["loss"] == pytest.approx(loss, rel=1e-4)


def test_the_cache_changes_not_one_bit_and_saves_work() -> None:
    """For a network whose steps hand on tuples."""
    make, build = KINDS["images"]
    supernet, x = build(), make(CALIBRATION + SCORED)
    cached, fresh = Run(supernet, x), Run(supernet, x, partition=Partition(GIB, GIB, 0))
    archs = members(supernet.space, WARM_UP)
    cached(archs)
    for start in (0, 10, 20):
        population = archs[start : start + 20]
        assert cached(population).metrics() == fresh(population).metrics()
        if start:
            assert cached.macs < 0.9 * fresh.macs


def test_little_memory_changes_not_one_bit_and_costs_work() -> None:
    make, build = KINDS["sequences"]
    supernet, x = build(), make(CALIBRATION + SCORED)
    archs = members(supernet.space, 20)
    roomy, tight = Run(supernet, x), Run(supernet, x, partition=Partition(0, 0, 0))
    assert roomy(archs).metrics() == tight(archs).metrics()
    assert roomy.macs < tight.macs


@pytest.mark.parametrize("weights", [GIB, 0])
def test_who_is_in_a_population_changes_not_one_bit(weights: int) -> None:
    """Law 6 needs it, with maps as large as real ones, and without memory for prepared weights too."""
    space = search_spaces.get("mobilenet", task=ImageClassification(32, 3, 5), preset="small")
    supernet = MobileNetSupernet(space, seed=0)
    randomise(supernet)
    x = torch.randn(CALIBRATION + SCORED, 3, 32, 32, generator=generator()).contiguous(
        memory_format=torch.channels_last
    )
    archs = members(space, 6)
    together = Run(supernet, x, partition=Partition(GIB, weights, 0))(archs).metrics()
    assert together == [Run(supernet, x)([arch]).metrics()[0] for arch in archs]


def test_the_work_is_that_of_the_nodes_that_run() -> None:
    make, build = KINDS["tokens"]
    run = Run(build(), make(CALIBRATION + SCORED))
    archs = members(run.supernet.space, 20)
    run(archs)
    nodes = build_trie(run.supernet, archs).nodes()
    assert run.macs == sum(node.step.macs for node in nodes) * (CALIBRATION + SCORED)


def test_stopped_members_see_no_more_examples() -> None:
    class Stopper(Racing):
        """Stops the first of the active ones after every round."""

        def eliminated(self, scores: Scores, active: Sequence[int], costs: Tensor) -> list[int]:
            return [active[0]] if len(active) > 1 else []

    make, build = KINDS["images"]
    run = Run(build(), make(CALIBRATION + SCORED))
    archs = members(run.supernet.space, 3)
    whole = run(archs)
    raced = run(archs, racing=Stopper((Objective.parse("accuracy"),), rounds=SCORED // CHUNK))
    assert raced.counts == [CHUNK, 2 * CHUNK, SCORED]
    assert raced.metrics()[2] == whole.metrics()[2]


def test_costs_stand_side_by_side() -> None:
    assert cost_matrix([torch.tensor([1, 2]), torch.tensor([3, 4])], 2).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert cost_matrix([], 2).shape == (2, 0)
