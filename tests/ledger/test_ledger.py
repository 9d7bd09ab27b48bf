from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest

import nas
from nas import ledger
from nas.errors import StudyError
from nas.ledger import Identity, Ledger
from nas.objectives import Constraint, Objective
from tests.searching import OBJECTIVES, PROVENANCE, SPACE, Script, Table, plain, pool, study
from tests.spaces import SPACES

ARCHS = SPACE.architectures(pool()[:8])


def identity(**changes: Any) -> Identity:
    fields: dict[str, Any] = {
        "space": SPACE.to_json(), "space_digest": SPACE.digest, "weights": "w0", "data": "d0",
        "objectives": ["max:accuracy"], "constraints": ["macs<=3e6"], "searcher": "Random()", "seed": 3, "batch": 2,
    }  # fmt: skip
    return Identity(**(fields | changes))


def opened(directory: Path | None = None, **options: Any) -> Ledger:
    return Ledger(
        SPACE, identity(), [Objective("accuracy", "max")], [Constraint("macs", "<=", 3e6)],
        device="cpu", directory=directory, **options,
    )  # fmt: skip


def test_a_trial_holds_all_that_it_takes_to_check_it_again(tmp_path: Path) -> None:
    book = opened(tmp_path)
    metrics = {"accuracy": 0.9, "macs": 2e6}
    asked = [arch.digest for arch in ARCHS[:2]]
    book.add(ARCHS[0], metrics, batch=5, seconds=1.5, asked=asked)
    book.add(ARCHS[1], {}, error="too deep", batch=5, seconds=0.5)
    book.close()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / ledger.JOURNAL)))
    kept = optuna.load_study(study_name="search", storage=storage)
    assert [d.name for d in kept.directions] == ["MAXIMIZE"]
    assert kept.metric_names == ["accuracy"]
    assert kept.best_trial.number == 0
    first, second = kept.trials
    assert first.user_attrs == {
        "arch": ARCHS[0].to_json(), "digest": ARCHS[0].digest, "metrics": metrics, "batch": 5, "seed": 3,
        "weights": "w0", "device": "cpu", "seconds": 1.5, "nas": nas.__version__, "asked": asked,
    }  # fmt: skip
    assert first.values == [0.9]
    assert first.params == {}
    assert first.duration is not None
    assert first.duration.total_seconds() == pytest.approx(1.5)
    assert first.system_attrs["constraints"] == [pytest.approx(-1e6)]
    assert second.state == optuna.trial.TrialState.FAIL
    assert second.user_attrs["error"] == "too deep"
    assert second.values is None
    assert kept.user_attrs["space_digest"] == SPACE.digest


def test_a_trial_is_one_append(tmp_path: Path) -> None:
    book = opened(tmp_path)
    before = (tmp_path / ledger.JOURNAL).read_bytes().count(b"\n")
    book.add(ARCHS[0], {"accuracy": 0.5, "macs": 1.0}, batch=0, seconds=0.0)
    book.add(ARCHS[1], {}, error="x", batch=0, seconds=0.0)
    assert (tmp_path / ledger.JOURNAL).read_bytes().count(b"\n") == before + 2
    book.close()


def test_reopening_gives_back_what_was_added(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.add(ARCHS[0], {"accuracy": 0.1, "macs": 5.0}, batch=0, seconds=0.1, asked=["a", "b"])
    book.add(ARCHS[1], {}, error="why", batch=0, seconds=0.1)
    book.close()
    again = opened(tmp_path, resume=True)
    assert again.entries == book.entries
    assert again.asked(0) == ("a", "b")
    assert again.asked(1) is None
    assert again.get(ARCHS[1].digest) == again.trials[1]
    assert again.get("0") is None
    again.close()
    record = ledger.read(tmp_path)
    assert record.trials == book.trials
    assert record.entries[1].error == "why"
    assert record.space.digest == SPACE.digest
    assert record.objectives == (Objective("accuracy", "max"),)
    assert record.constraints == (Constraint("macs", "<=", 3e6),)


def test_half_written_foreign_and_double_trials_do_not_count(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.add(ARCHS[0], {"accuracy": 0.1, "macs": 5.0}, batch=0, seconds=0.1)
    book._study.ask()  # left running for ever
    book._study.add_trial(optuna.trial.create_trial(value=1.0))
    book.add(ARCHS[0], {"accuracy": 0.2, "macs": 5.0}, batch=0, seconds=0.1)
    book.add(ARCHS[1], {"accuracy": 0.3, "macs": 5.0}, batch=0, seconds=0.1)
    book.close()
    again = opened(tmp_path, resume=True)
    assert [(t.number, t.metrics["accuracy"]) for t in again.trials] == [(0, 0.1), (1, 0.3)]
    again.close()


def test_an_architecture_that_is_not_its_digest_is_damage(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.add(SPACE.largest(), {"accuracy": 0.1, "macs": 5.0}, batch=0, seconds=0.1)
    book.close()
    path = tmp_path / ledger.JOURNAL
    text = path.read_text()
    for old, new, message in (
        ('"stage0.depth":2', '"stage0.depth":1', "does not have its digest"),
        ('"stage0.depth":2', '"stage0.depth":9', "not of this space"),
    ):
        head, _, last = text.removesuffix("\n").rpartition("\n")
        assert old in last
        path.write_text(f"{head}\n{last.replace(old, new)}\n")
        with pytest.raises(StudyError, match=message):
            opened(tmp_path, resume=True)


def test_a_ledger_with_trials_is_not_continued_by_accident(tmp_path: Path) -> None:
    with study(directory=tmp_path) as search:
        search.run(4)
    with pytest.raises(StudyError, match=r"already holds 4 trials; continue it with --resume or choose another --out"):
        study(directory=tmp_path)
    study(directory=tmp_path, resume=True).close()  # the refusal let go of the lock


@pytest.mark.parametrize(
    ("changes", "field", "there", "here"),
    [
        ({"seed": 4}, "seed", "0", "4"),
        ({"batch": 5}, "batch", "4", "5"),
        ({"searcher": "nsga2"}, "searcher", "'Random()'", "'NSGA2("),
        ({"objectives": OBJECTIVES[::-1]}, "objectives", "['max:accuracy', 'min:macs']", "['min:macs', "),
        ({"constraints": [Constraint("macs", "<=", 9e6)]}, "constraints", "[]", "['macs<=9000000']"),
        ({"provenance": PROVENANCE | {"weights": "w1"}}, "weights", "'w0'", "'w1'"),
        ({"provenance": PROVENANCE | {"data": "d1"}}, "data", "'d0'", "'d1'"),
        ({"space": SPACES["crop"]}, "space", repr(SPACE.digest), repr(SPACES["crop"].digest)),
    ],
)
def test_a_ledger_belongs_to_one_search(
    tmp_path: Path, changes: dict[str, Any], field: str, there: str, here: str
) -> None:
    with study(directory=tmp_path) as search:
        search.run(4)
    with pytest.raises(StudyError) as caught:
        study(directory=tmp_path, resume=True, **changes)
    text = str(caught.value)
    assert f"belongs to another search: {field} is {there}" in text
    assert f"there and {here}" in text
    assert "\n" not in text


def test_another_device_may_continue(tmp_path: Path) -> None:
    with study(directory=tmp_path) as search:
        search.run(4)
    with study(directory=tmp_path, resume=True, provenance=PROVENANCE | {"device": "cuda"}) as search:
        assert search.run(5).new == 1


def test_an_empty_ledger_binds_nobody(tmp_path: Path) -> None:
    study(directory=tmp_path).close()
    with study(directory=tmp_path, seed=9, objectives=OBJECTIVES[:1]) as search:
        search.run(3)
    assert ledger.read(tmp_path).attributes["seed"] == 9
    assert len(ledger.read(tmp_path).trials) == 3


def test_any_optuna_storage_will_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    with study(storage=url, name="mine") as search:
        search.run(6)
    with study(storage=url, name="mine", resume=True) as search:
        there = plain(search.run(9).trials)
    with study() as search:
        assert plain(search.run(9).trials) == there
    assert plain(ledger.read(storage=url, name="mine").trials) == there
    with study(storage=url, name="other", seed=1) as search:  # beside it
        assert search.run(2).new == 2


def test_with_a_storage_the_folder_is_locked_and_names_the_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    run = tmp_path / "run7"
    with study(directory=run, storage=url) as search:
        search.run(2)
        with pytest.raises(StudyError, match="in use by process"):
            study(directory=run, storage=url, resume=True)
    assert not (run / ledger.JOURNAL).exists()
    assert len(ledger.read(run, storage=url).trials) == 2
    assert optuna.get_all_study_names(url) == ["run7"]


def test_a_storage_that_cannot_be_opened_is_one_line_without_the_password() -> None:
    with pytest.raises(StudyError, match="cannot open the storage") as caught:
        study(storage="mysql+nodriver://ann:secret@host/db")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"cannot write to .*; choose another --out"):
        study(directory=tmp_path / "file")


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds no search"):
        ledger.read(tmp_path)
    (tmp_path / ledger.JOURNAL).touch()
    with pytest.raises(StudyError, match="holds no search"):
        ledger.read(tmp_path)


def test_a_failed_write_is_one_line_and_leaves_the_trials_before_it(tmp_path: Path) -> None:
    path = tmp_path / ledger.JOURNAL
    with study(Table(), tmp_path, searcher=Script(((0, 1), (2, 3)))) as search:
        search.run(2)
        moved = path.rename(tmp_path / "away")
        path.mkdir()
        with pytest.raises(StudyError, match=r"cannot write to .*then go on with --resume"):
            search.run(4)
        path.rmdir()
        moved.rename(path)
        assert search.run(4).new == 2
    assert [t.arch for t in ledger.read(tmp_path).trials] == SPACE.architectures(pool()[:4])
    assert json.loads(path.read_text().splitlines()[-1])["user_attrs"]["batch"] == 1
