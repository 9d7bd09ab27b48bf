from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas import search_spaces
from nas.data.text.preprocessing import TextPreprocessing
from nas.data.text.text_data import TextData, TokenSplit
from nas.errors import CheckpointError, Diverged, UnknownName, UsageError
from nas.networks import network
from nas.supernets import RULES, MobileNetSupernet, train, train_alone
from nas.supernets.steps import Step, composed_together
from nas.supernets.training import forward_of
from nas.training import CHECKPOINT, PassOptions, Progress
from tests.images import stripes
from tests.spaces import SPACES

SPACE = SPACES["learned"]


class Stopped(Exception):
    """Stands for a kill at a step boundary."""


def supernet(seed: int = 0) -> MobileNetSupernet:
    return MobileNetSupernet(SPACE, seed=seed)


def stop_after(step: int) -> Callable[[Progress], None]:
    """Progress comes before the checkpoint: `step` steps are safe."""

    def progress(p: Progress) -> None:
        if p.step == step + 1:
            raise Stopped

    return progress


def assert_same(first: nn.Module, second: nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("rule", sorted(RULES))
def test_resumed_training_repeats_undisturbed_training(rule: str, tmp_path: Path) -> None:
    words: dict[str, Any] = {"rule": rule, "epochs": 3, "batch_size": 32, "seed": 3}
    data, whole = stripes(96), supernet()
    train(whole, data, **words)
    assert not whole.training
    for stop in (1, 4, 7):
        words |= {"directory": tmp_path / str(stop)}
        with pytest.raises(Stopped):
            train(supernet(), data, **words, checkpoint_s=-1, progress=stop_after(stop))
        seen: list[int] = []
        resumed = supernet(seed=1)
        train(resumed, data, **words, resume=True, progress=lambda p, seen=seen: seen.append(p.step))
        assert seen == list(range(stop + 1, 10))
        assert_same(resumed, whole)


@pytest.mark.parametrize("rule", ["bignas", "ofa", "single_path"])
def test_rules_learn(rule: str) -> None:
    """A few seconds of training bring the largest and the smallest member far above chance."""
    data, trained = stripes(320), supernet()
    reports: list[Progress] = []
    train(trained, data, rule=rule, epochs=12, batch_size=32, seed=0, progress=reports.append)
    assert reports[-1].step == reports[-1].steps == 120
    assert all(math.isfinite(p.loss) for p in reports)
    x, labels = data.batch("validation", slice(None))
    trained.train()
    for arch in (trained.space.largest(), trained.space.smallest()):
        with torch.no_grad():
            accuracy = float((trained(x, arch).argmax(1) == labels).float().mean())
        assert accuracy > 0.6, (rule, arch.digest)


def test_divergence_says_where_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    broken = supernet()

    def poison(p: Progress) -> None:
        if p.step == 2:
            broken.classifier.weight.data.fill_(math.nan)

    data = stripes(96)
    train(broken, data, rule="single_path", epochs=1, batch_size=48, seed=0, directory=tmp_path)
    good = torch.load(tmp_path / CHECKPOINT, weights_only=True)["training"]["network"]
    with pytest.raises(Diverged, match=r"step 3 of \d+ .*single path.*checkpoint.*learning rate below"):
        train(broken, data, rule="single_path", epochs=3, batch_size=48, seed=0, directory=tmp_path, progress=poison)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)["training"]["network"]
    assert all(torch.equal(kept[name], value) for name, value in good.items())


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    data, words = stripes(96), {"batch_size": 48, "directory": tmp_path}
    train(supernet(), data, rule="single_path", epochs=1, **words)
    words["resume"] = True
    with pytest.raises(CheckpointError, match="epochs=1, now it is 2"):
        train(supernet(), data, rule="single_path", epochs=2, **words)
    with pytest.raises(CheckpointError, match="rule='single_path', now it is 'ofa'"):
        train(supernet(), data, rule="ofa", epochs=1, **words)
    changed = replace(RULES["single_path"], weight_decay=0.5)
    with pytest.raises(CheckpointError, match=r"weight_decay=3e-05, now it is 0\.5"):
        train(supernet(), data, rule=changed, epochs=1, **words)
    with pytest.raises(CheckpointError, match="optimiser='sgd', now it is 'adamw'"):
        train(supernet(), data, rule=replace(RULES["single_path"], optimiser="adamw"), epochs=1, **words)
    with pytest.raises(CheckpointError, match="data="):
        train(supernet(), stripes(96, seed=1), rule="single_path", epochs=1, **words)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="classes=5, but the data have 4"):
        train(supernet(), stripes(96, classes=4), rule="ofa", epochs=1)
    with pytest.raises(UsageError, match="directory"):
        train(supernet(), stripes(96), rule="ofa", epochs=1, resume=True)
    with pytest.raises(UsageError, match="classes=5, but the data have 4"):
        train_alone(nn.Identity(), stripes(96, classes=4), epochs=1, space=SPACE)
    with pytest.raises(UnknownName, match="adamw"):
        train_alone(nn.Identity(), stripes(96), epochs=1, optimiser="adam")


class Small(nn.Module):
    """A network of no space."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8 * 64, 5)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.norm(self.conv(x))).flatten(1))
        return logits


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_network_of_no_space_trains_alone_and_resumes(optimiser: str, tmp_path: Path) -> None:
    words: dict[str, Any] = {"epochs": 3, "batch_size": 32, "seed": 3, "optimiser": optimiser}
    data, whole = stripes(96), Small()
    reports: list[Progress] = []
    train_alone(whole, data, **words, progress=reports.append)
    assert not whole.training
    assert reports[-1].loss < reports[0].loss
    words |= {"directory": tmp_path}
    with pytest.raises(Stopped):
        train_alone(Small(), data, **words, checkpoint_s=-1, progress=stop_after(4))
    resumed, seen = Small(seed=1), list[int]()
    train_alone(resumed, data, **words, resume=True, progress=lambda p: seen.append(p.step))
    assert seen == list(range(5, 10))
    assert_same(resumed, whole)
    with pytest.raises(CheckpointError, match="weight_decay"):
        train_alone(Small(), data, **words | {"weight_decay": 0.3}, resume=True)


def texts(n: int = 96) -> TextData:
    """Half of the texts begin with one word, half with another; filled up to different lengths."""
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> TokenSplit:
        labels = torch.arange(count) % 2
        tokens = torch.randint(4, 20, (count, 8), generator=generator)
        tokens[:, 0] = 2 + labels
        lengths = torch.randint(1, 9, (count, 1), generator=generator)
        return TokenSplit(torch.where(torch.arange(8) < lengths, tokens, 0).int(), labels)

    counts = {"train": n, "calibration": 16, "validation": 32, "test": 32}
    preprocessing = TextPreprocessing(8, 20, ("no", "yes"), {})
    return TextData("made", preprocessing, {name: split(count) for name, count in counts.items()})


def test_an_encoder_of_texts_trains_alone(tmp_path: Path) -> None:
    """Nothing on the way knows images; the network is told which tokens count."""
    data = texts()
    space = search_spaces.get("flexibert", task=data.task)
    arch = space.smallest()
    encoder, fresh = (network(space, arch, seed=0) for _ in range(2))
    reports: list[Progress] = []
    words: dict[str, Any] = {"space": space, "arch": arch, "epochs": 8, "batch_size": 32}
    words |= {"optimiser": "adamw", "learning_rate": 2e-3}
    train_alone(encoder, data, **words, directory=tmp_path, progress=reports.append)
    assert (reports[-1].step, reports[-1].metric.name) == (24, "accuracy")
    assert reports[-1].loss < 0.5 < reports[0].loss
    x, y = data.batch("validation", slice(None))
    with torch.no_grad():
        assert (data.adapted(encoder)(x).argmax(1) == y).float().mean() > 0.9
    stored = torch.load(tmp_path / CHECKPOINT, weights_only=True)["training"]["network"]
    assert stored.keys() == fresh.state_dict().keys()
    train_alone(fresh, data, **words, directory=tmp_path, resume=True)
    assert_same(fresh, encoder)
    with pytest.raises(UsageError, match="the space is made for texts"):
        train_alone(encoder, stripes(96), **words)


def test_an_architecture_is_part_of_what_is_resumed(tmp_path: Path) -> None:
    data, shared = stripes(96), supernet()
    largest, smallest = SPACE.largest(), SPACE.smallest()
    words: dict[str, Any] = {"epochs": 1, "batch_size": 48, "space": SPACE, "directory": tmp_path}
    trained = shared.extract(smallest)
    before = copy.deepcopy(trained.state_dict())
    train_alone(trained, data, arch=smallest, **words)
    assert any(not torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    with pytest.raises(CheckpointError, match=f"arch='{smallest.digest}'"):
        train_alone(shared.extract(largest), data, arch=largest, **words, resume=True)


def test_architectures_of_one_pass_share_what_they_begin_with() -> None:
    shared = supernet().train()
    calls: list[object] = []
    x = stripes(32).batch("train", slice(None))[0]
    shallow, deep = SPACE.smallest(), SPACE.largest()
    original = shared.steps

    def counted(arch: Any) -> list[Step]:
        def watched(step: Step) -> Step:
            return step._replace(body=lambda x, context: (calls.append(step.key), step.body(x, context))[1])

        return [watched(step) for step in original(arch)]

    shared.steps = counted  # type: ignore[method-assign]
    outputs = forward_of(shared)(x, [deep, shallow, deep], PassOptions(0.0, 0.0, 0))
    assert len(calls) < 2 * len(original(deep)) + len(original(shallow))
    for output, arch in zip(outputs, (deep, shallow, deep), strict=True):
        assert torch.equal(output, shared(x, arch))
    assert outputs[0] is outputs[2]


def test_noise_of_a_shared_beginning_is_drawn_once() -> None:
    draws: list[Tensor] = []

    def noisy(x: Any, context: Any) -> Any:
        draws.append(x)
        return x + len(draws)

    steps = [Step("a", noisy), Step("b", noisy), Step("c", noisy)]
    first, second = composed_together([steps[:2], [steps[0], steps[2]]], torch.zeros(1), None)  # type: ignore[arg-type]
    assert len(draws) == 3
    assert (first.item(), second.item()) == (1 + 2, 1 + 3)
