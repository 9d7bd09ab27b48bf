from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas import ledger
from nas.errors import CheckpointError, StudyError, UnknownName, UsageError
from nas.pipelines.runs import check_space, default_out, open_run
from tests.searching import study
from tests.spaces import SPACES


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "mobilenet-digits"),
        ("mnist:some/mnist.npz", "mobilenet-mnist"),
        ("cifar10:cifar10.tar", "mobilenet-cifar10"),
        ("npz:a b/my shapes.npz", "mobilenet-npz-my_shapes"),
        ("folder:photos", "mobilenet-folder-photos"),
    ],
)
def test_default_folder(data: str, name: str) -> None:
    assert default_out("mobilenet", data) == Path("results") / name


def test_a_search_that_was_killed_before_its_first_trial_binds_nobody(tmp_path: Path) -> None:
    with study(directory=tmp_path) as search:
        search.run(2)
    check_space(tmp_path, SPACES["learned"])
    with pytest.raises(StudyError, match="holds a search of space 'mobilenet' with other settings"):
        check_space(tmp_path, SPACES["crop"])
    journal = tmp_path / ledger.JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    for head in (lines[:0], lines[:1], lines[:4], lines[:-2]):
        journal.write_bytes(b"".join(head))
        check_space(tmp_path, SPACES["crop"])


def test_every_way_to_name_an_architecture(finished: Path, tmp_path: Path) -> None:
    run = open_run(finished)
    assert run.document is not None
    space = run.stored.supernet.space
    best = space.from_document(run.document["best"]["arch"])
    assert run.find("best") == best
    assert run.find("knee").digest == run.document["knee"]["digest"]
    assert run.find("largest") == space.largest()
    assert run.find("smallest") == space.smallest()
    assert run.find(best.digest) == best
    assert run.find(best.digest[:10]) == best
    for document in (best.to_json(), {"arch": best.to_json()}, {"architecture": best.to_json()}):
        path = tmp_path / "arch.json"
        path.write_text(json.dumps(document))
        assert run.find(str(path)) == best


def test_any_trial_can_be_named_not_only_the_front(finished: Path) -> None:
    run = open_run(finished)
    trials = ledger.read(finished).trials
    assert [run.find(trial.arch.digest) for trial in trials] == [trial.arch for trial in trials]


def test_what_names_no_architecture(finished: Path, tmp_path: Path) -> None:
    run = open_run(finished)
    with pytest.raises(UnknownName, match="Did you mean 'best'"):
        run.find("bset")
    with pytest.raises(UsageError, match="digests begin like this"):
        run.find("")
    path = tmp_path / "arch.json"
    path.write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        run.find(str(path))
    path.write_text("[]")
    with pytest.raises(UsageError, match="an architecture is a JSON object"):
        run.find(str(path))


def test_a_folder_without_a_search(run_folder: Path) -> None:
    (run_folder / "search.json").unlink()
    run = open_run(run_folder)
    with pytest.raises(StudyError, match="no finished search here"):
        run.find("best")
    assert run.find("largest") == run.stored.supernet.space.largest()


def test_damaged_search_documents(run_folder: Path) -> None:
    for text in ("", "[]", '{"front": []}'):
        (run_folder / "search.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"search\.json"):
            open_run(run_folder)
