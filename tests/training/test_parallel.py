from __future__ import annotations

import copy
import math
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nas import files
from nas.data import ImagePreprocessing
from nas.errors import CheckpointError, Diverged, UsageError
from nas.search_spaces import Architecture, SearchSpace
from nas.supernets import RULES, MobileNetSupernet, train
from nas.task import Task
from nas.training import ALONE, Group, PassOptions, Progress, SubNetwork, TorchGroup, TrainingRule
from nas.training.parallel import average_gradients, check_shares, gathered, rows_of
from tests.images import stripes
from tests.training.ranks import SPACE, Branches, ThreadGroup, branches_step, on_ranks, train_branches

# Single precision through many batch norms and ReLUs, where a rounding error can switch a unit on or off.
ROUNDING = 5e-4
SHARED = ("bignas", "sandwich", "single_path")  # the rules that do not need a MobileNet


def assert_same(first: nn.Module, second: nn.Module, tolerance: float) -> None:
    theirs = second.state_dict()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=tolerance, msg=name)


def gloo_rank(rank: int, folder: str) -> None:
    """One of two processes: trains by each rule, counts all-reduces, leaves the results in the folder."""
    torch.set_num_threads(1)
    original, calls = dist.all_reduce, [0]

    def counted(values: Tensor) -> Any:
        calls[0] += 1
        return original(values)

    dist.all_reduce = counted  # this process ends with the test
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    found: dict[str, Any] = {}
    for rule in SHARED:
        network, steps = Branches(), list[int]()
        calls[0] = 0
        train_branches(network, rule, TorchGroup(), progress=lambda p, steps=steps: steps.append(p.step))
        found[rule] = {"weights": network.state_dict(), "calls": calls[0], "steps": steps[-1]}
    dist.barrier()  # gloo aborts a process whose last receiving the other one leaves too early
    dist.destroy_process_group()
    torch.save(found, Path(folder) / f"{rank}.pt")


def test_two_processes_train_what_one_does_with_one_reduction_a_step(tmp_path: Path) -> None:
    mp.spawn(gloo_rank, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for rule in SHARED:
        one = Branches()
        train_branches(one, rule, ALONE)
        assert first[rule]["steps"] == first[rule]["calls"] == second[rule]["calls"] == 20
        for name, value in one.state_dict().items():
            torch.testing.assert_close(first[rule]["weights"][name], value, rtol=0, atol=1e-5, msg=f"{rule} {name}")
            assert torch.equal(first[rule]["weights"][name], second[rule]["weights"][name])
        assert not torch.equal(one.conv.weight, Branches().conv.weight)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_ranks_share_batch_norms_too(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supernet on three ranks follows one process: weights, loss and accuracy; one reduction of gradients a step."""
    data, whole, tolerance = stripes(120), MobileNetSupernet(SPACE, seed=0), ROUNDING
    if rule != "ofa":  # whose teacher measures in single precision
        normalise = ImagePreprocessing.normalise
        monkeypatch.setattr(ImagePreprocessing, "normalise", lambda self, x: normalise(self, x).double())
        whole, tolerance = whole.double(), 1e-7
    start, words = copy.deepcopy(whole), {"rule": rule, "epochs": 3, "batch_size": 24, "learning_rate": 0.02}
    expected: list[Progress] = []
    train(whole, data, **words, progress=expected.append)

    def work(group: ThreadGroup) -> tuple[MobileNetSupernet, list[Progress], list[int]]:
        network, seen = copy.deepcopy(start), list[Progress]()
        train(network, data, **words, group=group, progress=seen.append)
        return network, seen, group.sums

    ranks = on_ranks(3, work)
    size = sum(p.numel() for p in whole.parameters())
    for network, seen, sums in ranks:
        assert_same(network, whole, tolerance)
        assert_same(network, ranks[0][0], 0)
        assert sum(count > size for count in sums) == len(seen) == 15
        for mine, one in zip(seen, expected, strict=True):
            assert mine.loss == pytest.approx(one.loss, abs=1e-4)
            assert mine.value == pytest.approx(one.value, abs=0.05)  # a tie may fall to the other side


class Watched:
    """A rule's sampler that every rank sees, and the sub-networks that ranks really train."""

    def __init__(self, rule: str) -> None:
        self.trained: dict[int, list[tuple[str, str]]] = {}
        self.rule = replace(RULES[rule], phases=lambda space: [self._phase(p) for p in RULES[rule].phases(space)])

    def _phase(self, phase: Any) -> Any:
        def target(
            task: Task, outputs: Tensor, targets: Tensor, member: SubNetwork, soft: Tensor | None
        ) -> tuple[Tensor, Tensor | None]:
            self.trained.setdefault(threading.get_ident(), []).append((member.role, member.arch.digest))
            loss, soft = phase.target(task, outputs, targets, member, soft)
            return loss, soft

        return replace(phase, target=target)


def test_independent_ranks_draw_other_random_networks_and_keep_the_same_weights() -> None:
    start, watched = MobileNetSupernet(SPACE, seed=0), Watched("bignas")

    def work(group: ThreadGroup) -> tuple[MobileNetSupernet, list[tuple[str, str]]]:
        network = copy.deepcopy(start)
        train(network, stripes(96), rule=watched.rule, epochs=2, batch_size=32, group=group, independent_sampling=True)
        return network, watched.trained[threading.get_ident()]

    (first, trained), (second, others) = on_ranks(2, work)
    assert_same(first, second, 0)
    pairs = list(zip(trained, others, strict=True))
    assert len(pairs) == 24
    assert all(a == b for a, b in pairs if a[0] != "random")
    assert sum(a != b for a, b in pairs if a[0] == "random") == 12
    alone = Watched("bignas")
    train(copy.deepcopy(start), stripes(96), rule=alone.rule, epochs=2, batch_size=32, independent_sampling=True)
    assert alone.trained[threading.get_ident()] == trained  # the first rank draws as one process does


def test_independent_ranks_equal_one_process_that_trains_all_their_networks() -> None:
    """The step's gradient is the mean over ranks, with parameters that one rank alone has, or none."""
    start = Branches()

    def work(group: ThreadGroup) -> Branches:
        network = copy.deepcopy(start)
        step = branches_step(network, "single_path", group, independent_sampling=True)
        for number in range(6):
            step.step(number)
        return network

    ranks = on_ranks(2, work)
    assert_same(ranks[0], ranks[1], 0)

    manual = copy.deepcopy(start)
    (phase,) = RULES["single_path"].phases(SPACE)

    def drawn(number: int) -> list[Architecture]:
        seeds = ((3, 2, number), (3, 2, number, 1))
        return [phase.sampler(SPACE, np.random.default_rng(seed))[0].arch for seed in seeds]

    def both(x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
        # Noise on the whole batch is not on its own network's rows only, so both take their rows of all logits.
        first, second = (manual(x, [arch], options)[0] for arch in drawn(number))
        return [torch.cat([first[: len(x) // 2], second[len(x) // 2 :]])]

    step = branches_step(manual, "single_path", ALONE, forward=both)
    for number in range(6):
        step.step(number)
    assert_same(manual, ranks[0], 1e-6)


@given(
    owners=st.lists(st.sets(st.integers(0, 2)), min_size=1, max_size=5),
    frozen=st.sets(st.integers(0, 4)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_gradients_are_averaged_and_those_of_nobody_stay_none(
    owners: list[set[int]], frozen: set[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 3), (4,), (1, 2, 2, 1), (), (3,)][: len(owners)]
    gradients = {(i, r): torch.randn(shape, generator=generator) for i, shape in enumerate(shapes) for r in range(3)}

    def work(group: ThreadGroup) -> tuple[list[Tensor | None], Tensor, int]:
        parameters = [nn.Parameter(torch.zeros(shape), requires_grad=i not in frozen) for i, shape in enumerate(shapes)]
        for i, parameter in enumerate(parameters):
            if group.rank in owners[i] and i not in frozen:
                parameter.grad = gradients[i, group.rank].clone()
        seen = average_gradients(group, parameters, torch.tensor([float(group.rank), 5.0]))
        return [p.grad for p in parameters], seen, len(group.sums)

    for found, seen, sums in on_ranks(3, work):
        assert sums == 1
        assert seen.tolist() == pytest.approx([1.0, 5.0])
        for i, gradient in enumerate(found):
            if not owners[i] or i in frozen:
                assert gradient is None
            else:
                expected = sum((gradients[i, r] for r in owners[i]), torch.zeros(shapes[i])) / 3
                torch.testing.assert_close(gradient, expected)


def test_alone_nothing_is_touched() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = gradient = torch.full((2,), 3.0)
    watched = torch.tensor([1.0])
    assert average_gradients(ALONE, [parameter], watched) is watched
    assert parameter.grad is gradient
    assert (ALONE.rank, ALONE.size) == (0, 1)
    assert rows_of(ALONE, 7) == slice(0, 7)


def test_gathered_is_ordered_by_rank() -> None:
    for found in on_ranks(3, lambda group: gathered(group, torch.tensor([group.rank, 10.0 * group.rank]))):
        assert found.tolist() == [[0, 0], [1, 10], [2, 20]]


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_with_the_same_line() -> None:
    def work(group: ThreadGroup) -> str:
        network, calls = Branches(), [0]

        def poisoned(x: Tensor, archs: list[Architecture], options: PassOptions) -> list[Tensor]:
            calls[0] += 1
            return [y * (math.nan if group.rank == 1 and calls[0] == 9 else 1.0) for y in network(x, archs, options)]

        with pytest.raises(Diverged) as caught:
            train_branches(network, "sandwich", group, forward=poisoned)
        return str(caught.value)

    first, second = on_ranks(2, work)
    assert first == second
    assert "step 3 of 20" in first


class Stopped(Exception):
    """Stands for a kill at a step boundary."""


def stop_after(step: int) -> Any:
    def progress(p: Progress) -> None:
        if p.step == step + 1:
            raise Stopped

    return progress


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_any_number_of_workers_resumes(before: int, after: int, tmp_path: Path) -> None:
    data, start = stripes(96), MobileNetSupernet(SPACE, seed=0)
    words: dict[str, Any] = {"rule": "ofa", "epochs": 4, "batch_size": 24, "learning_rate": 0.02}
    whole = copy.deepcopy(start)
    train(whole, data, **words)

    def interrupted(group: Group) -> None:
        progress = stop_after(9)
        with pytest.raises(Stopped):
            train(
                copy.deepcopy(start), data, **words, group=group, progress=progress, directory=tmp_path, checkpoint_s=-1
            )

    def resumed(group: Group) -> MobileNetSupernet:
        network, seen = MobileNetSupernet(SPACE, seed=1), list[int]()
        progress = lambda p: seen.append(p.step)
        train(network, data, **words, group=group, progress=progress, directory=tmp_path, resume=True)
        assert seen == list(range(10, 17))
        return network

    interrupted(ALONE) if before == 1 else on_ranks(before, interrupted)
    for network in [resumed(ALONE)] if after == 1 else on_ranks(after, resumed):
        assert_same(network, whole, ROUNDING)


def test_only_the_first_rank_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[int] = []
    original = files.save_state

    def write(path: Path, state: Any) -> None:
        writers.append(threading.get_ident())
        original(path, state)

    monkeypatch.setattr(files, "save_state", write)

    def work(group: ThreadGroup) -> int:
        network = MobileNetSupernet(SPACE, seed=0)
        train(
            network, stripes(96), rule="single_path", epochs=1, batch_size=32, group=group, directory=tmp_path,
            checkpoint_s=-1,
        )  # fmt: skip
        return threading.get_ident()

    first, _ = on_ranks(2, work)
    assert writers == [first] * 3


def test_a_run_with_independent_sampling_resumes_with_as_many_workers_only(tmp_path: Path) -> None:
    data = stripes(96)
    words: dict[str, Any] = {"rule": "single_path", "epochs": 1, "batch_size": 24, "directory": tmp_path}
    network = MobileNetSupernet(SPACE, seed=0)
    on_ranks(2, lambda group: train(copy.deepcopy(network), data, **words, group=group, independent_sampling=True))
    with pytest.raises(CheckpointError, match="independent_sampling=2, now it is None"):
        train(copy.deepcopy(network), data, **words, resume=True)
    with pytest.raises(CheckpointError, match="independent_sampling=2, now it is 3"):
        on_ranks(
            3, lambda g: train(copy.deepcopy(network), data, **words, group=g, independent_sampling=True, resume=True)
        )
    on_ranks(2, lambda g: train(copy.deepcopy(network), data, **words, group=g, independent_sampling=True, resume=True))


@pytest.mark.parametrize(("batch", "workers", "nearest"), [(32, 3, 33), (4, 4, 8), (7, 2, 8)])
def test_batches_divide_into_equal_shares(batch: int, workers: int, nearest: int) -> None:
    with pytest.raises(UsageError, match=f"a batch size of {nearest},"):
        check_shares(batch, workers)
    check_shares(nearest, workers)
    with pytest.raises(UsageError, match="at least 1 worker"):
        check_shares(batch, 0)


def test_rules_of_two_spaces_stay_picklable() -> None:
    """Workers get the rule as a value."""
    from ray import cloudpickle

    for rule in RULES.values():
        copied: TrainingRule = cloudpickle.loads(cloudpickle.dumps(rule))
        space: SearchSpace = SPACE
        assert [p.name for p in copied.phases(space)] == [p.name for p in rule.phases(space)]
