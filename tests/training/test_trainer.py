from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.errors import CheckpointError, Diverged, UsageError
from nas.supernets import RULES, MobileNetSupernet, train
from nas.training import Progress, Settings, trainer
from nas.training.trainer import phase_starts, seed_of
from tests.images import stripes
from tests.spaces import SPACES


class Stopped(Exception):
    """Stands for a kill at a step boundary."""


def supernet() -> MobileNetSupernet:
    return MobileNetSupernet(SPACES["learned"], seed=0)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_resumed_training_repeats_undisturbed_training(
    rule: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)  # after every step
    data = stripes(96)
    whole = supernet()
    train(whole, data, rule=rule, epochs=3, batch_size=32, seed=3)

    def kill(p: Progress) -> None:
        if p.step == stop + 1:  # progress comes before the checkpoint: `stop` steps are safe
            raise Stopped

    with pytest.raises(Stopped):
        train(supernet(), data, rule=rule, epochs=3, batch_size=32, seed=3, directory=tmp_path, progress=kill)
    seen: list[int] = []
    resumed = supernet()
    train(
        resumed, data, rule=rule, epochs=3, batch_size=32, seed=3, directory=tmp_path, resume=True,
        progress=lambda p: seen.append(p.step),
    )  # fmt: skip
    assert seen == list(range(stop + 1, 10))
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", ["bignas", "ofa", "single_path"])
def test_rules_learn(rule: str) -> None:
    """A few seconds of training bring the largest and the smallest member far above chance."""
    data = stripes(320)
    network = supernet()
    reports: list[Progress] = []
    train(network, data, rule=rule, epochs=12, batch_size=32, seed=0, progress=reports.append)
    assert reports[-1].step == reports[-1].steps == 120
    assert all(math.isfinite(p.loss) for p in reports)
    x = data.preprocessing.normalise(data.validation.images)
    network.train()
    for arch in (network.space.largest(), network.space.smallest()):
        with torch.no_grad():
            accuracy = float((network(x, arch).argmax(1) == data.validation.labels).float().mean())
        assert accuracy > 0.6, (rule, arch.digest)


def test_divergence_says_where_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    network = supernet()

    def poison(p: Progress) -> None:
        if p.step == 2:
            network.classifier.weight.data.fill_(math.nan)

    data = stripes(96)
    train(network, data, rule="single_path", epochs=1, batch_size=48, seed=0, directory=tmp_path)
    good = copy.deepcopy(torch.load(tmp_path / trainer.CHECKPOINT, weights_only=True))
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
    with pytest.raises(Diverged, match=r"step 3 of \d+ .*single path"):
        train(network, data, rule="single_path", epochs=3, batch_size=48, seed=0, directory=tmp_path, progress=poison)
    kept = torch.load(tmp_path / trainer.CHECKPOINT, weights_only=True)
    assert all(torch.equal(kept["network"][name], value) for name, value in good["network"].items())


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    data = stripes(96)
    train(supernet(), data, rule="single_path", epochs=1, batch_size=48, directory=tmp_path)
    with pytest.raises(CheckpointError, match="epochs=1, now it is 2"):
        train(supernet(), data, rule="single_path", epochs=2, batch_size=48, directory=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="rule='single_path', now it is 'ofa'"):
        train(supernet(), data, rule="ofa", epochs=1, batch_size=48, directory=tmp_path, resume=True)
    changed = replace(RULES["single_path"], weight_decay=0.5)
    with pytest.raises(CheckpointError, match=r"weight_decay=3e-05, now it is 0\.5"):
        train(supernet(), data, rule=changed, epochs=1, batch_size=48, directory=tmp_path, resume=True)
    other = stripes(96, seed=1)
    with pytest.raises(CheckpointError, match="data="):
        train(supernet(), other, rule="single_path", epochs=1, batch_size=48, directory=tmp_path, resume=True)


@pytest.mark.parametrize(("setting", "value"), [("dropout", 1.0), ("drop_connect", -0.1), ("learning_rate", 0.0)])
def test_a_rule_out_of_range_is_refused(setting: str, value: float) -> None:
    with pytest.raises(UsageError, match=setting.replace("_", ".")):
        replace(RULES["bignas"], **{setting: value})


def test_wrong_settings_and_data() -> None:
    with pytest.raises(UsageError, match="epochs >= 1"):
        Settings(0, 32, 0.1, 0)
    with pytest.raises(UsageError, match="learning rate"):
        Settings(1, 32, math.nan, 0)
    with pytest.raises(UsageError, match="seed"):
        Settings(1, 32, 0.1, -1)
    with pytest.raises(UsageError, match="classes=5, but the data have 4"):
        train(supernet(), stripes(96, classes=4), rule="ofa", epochs=1)
    with pytest.raises(UsageError, match="directory"):
        train(supernet(), stripes(96), rule="ofa", epochs=1, resume=True)


def test_frozen_parameters_stay() -> None:
    network = supernet()
    rule = RULES["single_path"]

    def frozen(space: object) -> list[object]:
        return [replace(phase, freeze=lambda name: name.startswith("stem")) for phase in rule.phases(network.space)]

    before = copy.deepcopy(network.state_dict())
    train(network, stripes(96), rule=replace(rule, phases=frozen), epochs=1, batch_size=48)
    after = network.state_dict()
    assert torch.equal(after["stem.weight"], before["stem.weight"])
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_phase_starts_and_seeds() -> None:
    assert phase_starts([1, 1, 2], 8) == [0, 2, 4]
    assert phase_starts([0.5, 0.01, 0.49], 4) == [0, 2, 2]
    assert len({seed_of(0, 1, step) for step in range(100)}) == 100
    assert 0 <= seed_of(1, 2) < 2**63
