from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.errors import UsageError
from nas.evaluation import SupernetEvaluator
from nas.evaluation.population.racing import Racing
from nas.evaluation.population.scores import score
from nas.evaluation.population.trie import ALL, Sharing
from nas.objectives import Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import MobileNetSupernet, calibrate, train
from nas.testing.subnetworks import randomise
from tests.evaluation.population.chains import ChainSupernet
from tests.images import stripes
from tests.spaces import SPACES


@pytest.fixture(scope="module")
def trained() -> MobileNetSupernet:
    supernet = MobileNetSupernet(SPACES["learned"], seed=0)
    train(supernet, stripes(160), rule="single_path", epochs=4, batch_size=32)
    return supernet


def test_a_population_scores_like_its_members_alone(trained: MobileNetSupernet) -> None:
    """Law 5, and nothing shared is changed."""
    data = stripes()
    space = trained.space
    archs = space.architectures(space.sample_choices(np.random.default_rng(0), 6))
    before = copy.deepcopy(trained.state_dict())
    together = SupernetEvaluator(trained, data).evaluate([*archs, archs[0]])
    alone = [SupernetEvaluator(trained, data).evaluate([arch])[0] for arch in archs]
    assert together == [*alone, alone[0]]
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_metrics_are_those_of_forward(trained: MobileNetSupernet) -> None:
    data = stripes()
    arch = trained.space.largest()
    normalise = data.preprocessing.normalise
    statistics = calibrate(trained, [arch], normalise(data.calibration.images))[0]
    with torch.no_grad():
        logits = trained.eval()(normalise(data.validation.images), arch, statistics=statistics)
    found = SupernetEvaluator(trained, data, batch_size=7).evaluate([arch])[0]
    expected = float((logits.argmax(1) == data.validation.labels).float().mean())
    assert found["accuracy"] == pytest.approx(expected)
    loss = float(torch.nn.functional.cross_entropy(logits, data.validation.labels))
    assert found["loss"] == pytest.approx(loss, rel=1e-4)


def test_no_pass_is_larger_than_the_batch_size() -> None:
    data, supernet = stripes(), ChainSupernet()
    SupernetEvaluator(supernet, data, batch_size=7).evaluate([supernet.space.largest()])
    calibration, *scored = supernet.batches
    assert calibration == len(data.calibration)
    assert sum(scored) == 80
    assert max(scored) == 7


def population(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    return space.architectures(space.sample_choices(np.random.default_rng(seed), count))


def same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert [m["accuracy"] for m in found] == [m["accuracy"] for m in expected]
    assert [m["loss"] for m in found] == pytest.approx([m["loss"] for m in expected], rel=1e-4)


@pytest.mark.parametrize("space", ["learned", "crop", "fixed"])
def test_every_way_of_sharing_gives_the_metrics_of_extracted_networks(space: str) -> None:
    """Law 5, against networks with no elastic code, normalised by calibrated statistics."""
    data, supernet = stripes(), MobileNetSupernet(SPACES[space], seed=0)
    randomise(supernet)
    archs = population(supernet.space, 24)
    calibration = data.preprocessing.normalise(data.calibration.images)
    expected = [
        score(supernet.extract(arch, calibrate(supernet, [arch], calibration)[0]), data, "validation") for arch in archs
    ]
    for prefixes, widths, folding in itertools.product((False, True), repeat=3):
        sharing = Sharing(prefixes, widths, folding)
        same(SupernetEvaluator(supernet, data, sharing=sharing).evaluate(archs), expected)


def done(evaluator: SupernetEvaluator) -> float:
    """Multiply-adds that it ran."""
    totals = evaluator.totals
    return totals.macs_alone - totals.macs_shared - totals.macs_raced


def test_a_network_whose_steps_hand_on_tuples_is_cached_like_any_other() -> None:
    data, supernet = stripes(), ChainSupernet()
    archs = population(supernet.space, 150)
    cached, fresh = SupernetEvaluator(supernet, data), SupernetEvaluator(supernet, data)
    cached.evaluate(archs[:80])
    cached.evaluate(archs[80:110])
    before = done(cached)
    assert cached.evaluate(archs[110:]) == fresh.evaluate(archs[110:])
    assert done(cached) - before < 0.9 * done(fresh)


def test_a_network_without_batch_norms_is_not_calibrated() -> None:
    data, supernet = stripes(), ChainSupernet(norms=False)
    archs = population(supernet.space, 100)
    evaluator = SupernetEvaluator(supernet, data, batch_size=20)
    metrics = evaluator.evaluate(archs[:70]) + evaluator.evaluate(archs[70:])
    assert evaluator.totals.macs_alone == sum(supernet.space.cost(arch).macs for arch in archs) * data.size(
        "validation"
    )
    assert set(supernet.batches) == {20}
    inputs, labels = data.batch("validation", slice(None))
    for arch, found in list(zip(archs, metrics, strict=True))[::10]:
        with torch.no_grad():
            outputs = supernet(inputs, arch)
        assert found["accuracy"] == pytest.approx(float((outputs.argmax(1) == labels).float().mean()))


def test_sharing_saves_work_and_says_how_much(trained: MobileNetSupernet) -> None:
    archs = population(trained.space, 40)
    together, apart = (
        SupernetEvaluator(trained, stripes(), sharing=sharing) for sharing in (ALL, Sharing(prefixes=False))
    )
    same(together.evaluate([*archs, *archs]), apart.evaluate([*archs, *archs]))
    data = stripes()
    macs = sum(trained.space.cost(arch).macs for arch in archs) * (len(data.validation) + len(data.calibration))
    assert together.totals.macs_alone == apart.totals.macs_alone == 2 * macs
    assert apart.totals.macs_shared == macs  # only what was asked twice
    assert together.totals.macs_shared > 1.2 * macs
    assert together.totals.architectures == 80


def test_kept_prefixes_save_work_in_the_next_call_and_change_nothing(trained: MobileNetSupernet) -> None:
    earlier, first, second = (population(trained.space, size, seed) for size, seed in ((80, 2), (30, 0), (30, 1)))
    keeping, fresh = SupernetEvaluator(trained, stripes()), SupernetEvaluator(trained, stripes())
    keeping.evaluate(earlier)
    keeping.evaluate(first)
    before = keeping.totals
    expected, again = fresh.evaluate(second), keeping.evaluate(second)
    same(again, expected)
    saved = keeping.totals.macs_shared - before.macs_shared
    assert saved > 1.1 * fresh.totals.macs_shared
    assert keeping.evaluate(first) == SupernetEvaluator(trained, stripes()).evaluate(first)  # results are remembered


def test_a_small_budget_costs_time_but_no_result(trained: MobileNetSupernet) -> None:
    archs, data = population(trained.space, 12), stripes()
    with pytest.raises(UsageError, match=r"1,000 bytes .* give at least [\d.]+ GiB, [\d,]+ bytes$") as error:
        SupernetEvaluator(trained, data, budget_bytes=1000)
    least = int(str(error.value).rsplit(" ", 2)[1].replace(",", ""))
    tight, roomy = SupernetEvaluator(trained, data, budget_bytes=least), SupernetEvaluator(trained, data)
    same(tight.evaluate(archs), roomy.evaluate(archs))
    assert tight.totals.macs_shared < roomy.totals.macs_shared  # it computed some things again


def test_racing_keeps_the_best_and_marks_the_stopped(trained: MobileNetSupernet) -> None:
    data = stripes(2000)
    archs = population(trained.space, 60)
    whole = SupernetEvaluator(trained, data, batch_size=50).evaluate(archs)
    racing = Racing((Objective.parse("accuracy"),), keep=5)
    evaluator = SupernetEvaluator(trained, data, batch_size=50, racing=racing)
    raced = evaluator.evaluate(archs)
    stopped = [m for m in raced if "partial_images" in m]
    assert 10 < len(stopped) < 60
    assert all(0 < m["partial_images"] < 1000 for m in stopped)
    assert evaluator.totals.macs_raced > 0
    for i in np.argsort([-m["accuracy"] for m in whole], kind="stable")[:5]:
        assert raced[i] == whole[i]


@pytest.mark.parametrize("sharing", [Sharing(), ALL])
def test_what_stopped_candidates_left_is_used_and_changes_nothing(sharing: Sharing, trained: MobileNetSupernet) -> None:
    """Their prefixes lack images; later calls run those again, by remembered statistics, and add them."""
    data, racing = stripes(800), Racing((Objective.parse("accuracy"),), keep=3)

    def evaluator() -> SupernetEvaluator:
        return SupernetEvaluator(trained, data, batch_size=50, racing=racing, sharing=sharing)

    keeping, everyone = evaluator(), list(dict.fromkeys(population(trained.space, 260)))
    for start in range(0, 200, 40):
        archs = everyone[start : start + 40]
        fresh, before = evaluator(), keeping.totals
        found = keeping.evaluate(archs)
        assert any("partial_images" in m for m in found)
        if sharing.widths:  # the widest that shares may be another one
            same(found, fresh.evaluate(archs))
        else:
            assert found == fresh.evaluate(archs)
        if start >= 120:  # nothing of the first 64 is kept
            assert keeping.totals.macs_shared - before.macs_shared > 1.1 * fresh.totals.macs_shared


def test_bfloat16_is_near(trained: MobileNetSupernet) -> None:
    archs = population(trained.space, 4)
    exact = SupernetEvaluator(trained, stripes()).evaluate(archs)
    coarse = SupernetEvaluator(trained, stripes(), precision="bfloat16").evaluate(archs)
    assert [m["loss"] for m in coarse] == pytest.approx([m["loss"] for m in exact], rel=0.1)
    assert [m["loss"] for m in coarse] != [m["loss"] for m in exact]


def test_the_test_split_has_its_own_names_and_images(trained: MobileNetSupernet) -> None:
    data = stripes()
    wrong = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 5))
    found = SupernetEvaluator(trained, wrong, split="test").evaluate([trained.space.largest()])[0]
    assert set(found) == {"test_accuracy", "test_loss", "test_accuracy_se", "test_loss_se"}
    right = SupernetEvaluator(trained, data, split="test").evaluate([trained.space.largest()])[0]
    assert right["test_accuracy"] > found["test_accuracy"]


def test_wrong_use(trained: MobileNetSupernet) -> None:
    with pytest.raises(UsageError, match="classes=5, but the data have 4"):
        SupernetEvaluator(trained, stripes(classes=4))
    with pytest.raises(UsageError, match="'train'"):
        SupernetEvaluator(trained, stripes(), split="train")  # type: ignore[arg-type]
