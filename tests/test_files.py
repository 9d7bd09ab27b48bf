from __future__ import annotations

import json
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from nas import files
from nas.errors import CheckpointError, DataError, UsageError, WriteError

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are limited and killed in Linux's way")
OPERATIONS = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.rmdir", "os.truncate", "os.listdir")


def save_state(path: Path, number: int) -> None:
    files.save_state(path, {"n": torch.full((10,), number)})


def save_tensors(path: Path, number: int) -> None:
    files.save_tensors(path, {"n": torch.full((10,), number)}, form="test")


def write_json(path: Path, number: int) -> None:
    files.write_json(path, {"n": number})


def read_tensors(path: Path) -> int:
    module = nn.Module()
    module.register_buffer("n", torch.zeros(10, dtype=torch.int64))
    files.load_weights(module, path)
    return int(module.get_buffer("n")[0])


Write, Read = Callable[[Path, int], None], Callable[[Path], int]
WAYS: dict[str, tuple[Write, Read]] = {
    "text": (write_json, lambda path: int(json.loads(path.read_text())["n"])),
    "state": (save_state, lambda path: int(files.read_state(path)["n"][0])),
    "tensors": (save_tensors, read_tensors),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[Write, Read]:
    return WAYS[request.param]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a fork of this process; returns its exit status, 1 where it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child needs none of this process's threads
        process = os.fork()
    if process == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed_before(work: Callable[[], None], operation: int) -> None:
    """Run `work`, but end this process before its file operation of this number."""
    left = operation

    def count(event: str, arguments: object) -> None:
        nonlocal left
        if event in OPERATIONS:
            if left == 0:
                os._exit(9)
            left -= 1

    sys.addaudithook(count)
    work()


def killed_at_every_operation(work: Callable[[], None]) -> Iterator[int]:
    """Run `work` in a child that ends before its first file operation, its second, and so on, until one is done."""
    for operation in range(100):
        code = in_child(partial(killed_before, work, operation))
        assert code in (0, 9)
        yield operation
        if code == 0:
            return
    raise AssertionError("it never ended")


def test_a_written_file_is_read_and_nothing_lies_beside_it(tmp_path: Path, way: tuple[Write, Read]) -> None:
    write, read = way
    path = tmp_path / "deep" / "down" / "file.ext"
    for number in (1, 2):
        write(path, number)
        assert read(path) == number
    assert names(path.parent) == ["file.ext"]


def test_the_mode_is_that_of_any_new_file(tmp_path: Path, way: tuple[Write, Read]) -> None:
    (tmp_path / "usual").touch()
    way[0](tmp_path / "file", 1)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


@linux
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path, way: tuple[Write, Read]) -> None:
    write, read = way
    path, seen = tmp_path / "file", list[int]()
    write(path, 1)
    for _ in killed_at_every_operation(lambda: write(path, 2)):
        seen.append(read(path))
    assert len(seen) > 4
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert seen[-1] == 2


@linux
def test_a_kill_leaves_no_half_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def write(number: int) -> None:
        with files.replacing_folder(path, own=("a", "b")) as temporary:
            write_json(temporary / "a", number)
            write_json(temporary / "b", number)

    write(1)
    seen = set[int]()
    for _ in killed_at_every_operation(lambda: write(2)):
        whole = [folder for folder in tmp_path.iterdir() if names(folder) == ["a", "b"]]
        assert whole  # while it is exchanged the old one has another name
        if path.exists():
            numbers = {json.loads((path / name).read_text())["n"] for name in ("a", "b")}
            assert len(numbers) == 1
            seen |= numbers
    assert seen == {1, 2}


def test_an_error_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "old")

    def fail(failure: BaseException) -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise failure

    for failure in (ValueError("no"), KeyboardInterrupt("no")):
        with pytest.raises(type(failure), match="no"):
            fail(failure)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"n": float("nan")})
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_an_error_in_the_middle_of_a_folder_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "a").write_text("old")

    def fail() -> None:
        with files.replacing_folder(path, own=("a",)) as temporary:
            (temporary / "a").write_text("half")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert names(tmp_path) == ["folder", "folder/a"]
    assert (path / "a").read_text() == "old"


def test_only_a_folder_of_ones_own_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    (tmp_path / "file").touch()
    for name in ("photos", "file"):
        with (
            pytest.raises(WriteError, match="something else"),
            files.replacing_folder(tmp_path / name, own=("a",)) as temporary,
        ):
            temporary.mkdir()
    assert names(tmp_path) == ["file", "photos", "photos/me.jpg"]


def test_a_target_that_cannot_be_is_named(tmp_path: Path, way: tuple[Write, Read]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"cannot write \S+/file/below: (Not a directory|File exists); free"):
        way[0](tmp_path / "file" / "below", 1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match=r"cannot write \S+/folder: Is a directory; "):
        way[0](tmp_path / "folder", 1)
    assert names(tmp_path) == ["file", "folder"]


@linux
def test_a_read_only_folder_is_named(tmp_path: Path, way: tuple[Write, Read]) -> None:
    tmp_path.chmod(0o500)
    folder = tmp_path if os.geteuid() else Path("/proc")  # to root nothing but this is read-only
    with pytest.raises(WriteError, match=rf"cannot write {folder}/file: (Permission denied|No such file or directory)"):
        way[0](folder / "file", 1)
    tmp_path.chmod(0o700)
    assert names(tmp_path) == []


def test_errors_of_other_files_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), files.replacing(tmp_path / "file"):
        (tmp_path / "elsewhere" / "file").read_bytes()
    assert names(tmp_path) == []


@linux
def test_a_full_disk_is_one_line_that_names_the_target(tmp_path: Path) -> None:
    """A limit on the size of files fails writers in the middle, like a disk without room."""
    import resource

    def folder(path: Path) -> None:
        with files.replacing_folder(path, own=("x",)) as temporary:
            files.write_bytes(temporary / "x", bytes(20_000))

    big = {"x": torch.zeros(5_000)}
    writers: dict[str, Callable[[Path], object]] = {
        "bytes": lambda path: files.write_bytes(path, bytes(20_000)),
        "state": lambda path: files.save_state(path, big),
        "tensors": lambda path: files.save_tensors(path, big, form="test"),
        "folder": folder,
    }

    def work(answer: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        for name, write in writers.items():
            try:
                write(tmp_path / name)
            except WriteError as error:
                os.write(answer, f"{error}\n".encode())

    reading, answer = os.pipe()
    assert in_child(lambda: work(answer)) == 0
    lines = os.read(reading, 10_000).decode().splitlines()
    for line, name in zip(lines, ("bytes", "state", "tensors", "folder/x"), strict=True):
        assert line.startswith(f"cannot write {tmp_path / name}: ")
        assert "File too large" in line
    assert names(tmp_path) == []


def test_documents_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"format": "test-1", "in": {"a": 1}, "list": []})
    assert path.read_text() == '{\n  "format": "test-1",\n  "in": {\n    "a": 1\n  },\n  "list": []\n}\n'
    document = files.read_document(path, "test-1", "a test", again="write it again")
    assert files.object_in(document, "in", path) == {"a": 1}
    assert files.object_in(document, "gone", path) == {}
    with pytest.raises(CheckpointError, match="'list' must be an object, got list"):
        files.object_in(document, "list", path)
    with pytest.raises(CheckpointError, match=r"not a test \(expected format 'test-2'\)"):
        files.read_document(path, "test-2", "a test", again="write it again")
    for content in (b"", b"{", b'"\xff"', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not valid JSON \(.+\); write it again"):
            files.read_json(path, failure=DataError, hint="write it again")


def test_weights_that_are_damaged_or_do_not_fit(tmp_path: Path) -> None:
    path, module = tmp_path / "w", nn.Linear(2, 3)
    digest = files.save_tensors(path, module.state_dict(), form="test")
    files.check_digest(path, digest, again="train again")
    twin = nn.Linear(2, 3)
    files.load_weights(twin, path)
    assert torch.equal(twin.weight, module.weight)
    with pytest.raises(CheckpointError, match=r"tensor 'weight' has shape \(3, 2\), expected \(4, 2\)"):
        files.load_weights(nn.Linear(2, 4), path)
    with pytest.raises(CheckpointError, match=r"tensor 'bias' has shape \(3,\), expected None"):
        files.load_weights(nn.Linear(2, 3, bias=False), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="damaged"):
        files.load_weights(twin, path)
    with pytest.raises(CheckpointError, match="truncated or changed since it was written; train again"):
        files.check_digest(path, digest, again="train again")
    with pytest.raises(CheckpointError, match="the weights are missing; train again"):
        files.check_digest(tmp_path / "gone", digest, again="train again")


def test_states_that_are_missing_truncated_or_foreign(tmp_path: Path) -> None:
    path = tmp_path / "training.pt"
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        files.read_state(path)
    files.save_state(path, {"network": {"w": torch.zeros(1000)}})
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a readable checkpoint"):
            files.read_state(path)
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="holds a list, not a training state"):
        files.read_state(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("evil", "w"))


def test_reading_a_state_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Evil()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"step": Evil()}, protocol=2))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(CheckpointError):
            files.read_state(tmp_path / name)
    assert not (tmp_path / "evil").exists()


def test_relative_paths_are_tried_here_and_then_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_DATA_DIR", raising=False)
    assert files.data_folder() is None
    with pytest.raises(DataError, match="'x' does not exist; set NAS_DATA_DIR"):
        files.locate("x", usage="npz:FILE")
    with pytest.raises(UsageError, match="write npz:FILE"):
        files.locate("", usage="npz:FILE")
    monkeypatch.setenv("NAS_DATA_DIR", str(tmp_path / "data"))
    assert files.locate("x", usage="npz:FILE") == tmp_path / "data" / "x"
    with pytest.raises(DataError, match="'y' does not exist, neither here nor under NAS_DATA_DIR"):
        files.locate("y", usage="npz:FILE")
    (tmp_path / "x").touch()
    assert files.locate("x", usage="npz:FILE") == Path("x")


def test_a_reason_is_one_line() -> None:
    assert files.reason(ValueError("\n  first\nsecond")) == "first"
    assert files.reason(ValueError()) == "ValueError"
