"""The ledger of one search: an Optuna study in which every finished trial is one append.

In a run's folder it is `journal.log`; with a storage URL it lives wherever Optuna can write. The architecture is one
attribute of a trial, the objectives are its Optuna values, so Optuna's dashboard and plots read it as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, final

import filelock
import numpy as np
import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState, create_trial

import nas
from nas import search_spaces
from nas.errors import StudyError
from nas.search_spaces import ABSENT, Architecture, Constraint, Objective, SearchSpace
from nas.searchers import Trial

JOURNAL = "journal.log"
NAME = "search"  # of the Optuna study in a journal, which holds no other

_APPEND = b'{"op_code":'  # what every line of a journal starts with


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two searches the same search.

    Args:
        space: Its JSON document.
        space_digest: The digest of the space.
        weights: Digest of the weights that are evaluated; "" where there are none.
        data: Digest of the data; "" where there are none.
        objectives: As `str(objective)`, in order.
        constraints: As `str(constraint)`, in order.
        searcher: The searcher's name.
        seed: The searcher's seed.
        batch: How many architectures one ask wants.
    """

    space: dict[str, Any]
    space_digest: str
    weights: str
    data: str
    objectives: list[str]
    constraints: list[str]
    searcher: str
    seed: int
    batch: int

    def to_json(self) -> dict[str, Any]:
        """The study's user attributes, in the order in which a difference is reported."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished trial of a ledger.

    Args:
        trial: What searchers are told.
        error: Why the evaluation failed; None where it did not.
        asked: On the first new trial of a batch: the digests of the whole batch as it was asked.
    """

    trial: Trial
    error: str | None
    asked: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Record:
    """What a ledger holds, read without driving it."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    attributes: Mapping[str, Any]
    entries: tuple[Entry, ...]

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, oldest first."""
        return [entry.trial for entry in self.entries]


@final
class DriverLock:
    """Holds a run's folder for one process; the operating system lets go of it when the process ends.

    Args:
        directory: An existing folder.

    Raises:
        StudyError: Another driver holds it; names its process, host and since when.
    """

    def __init__(self, directory: Path) -> None:
        self._note = directory / "driver.json"
        self._lock = filelock.FileLock(directory / "driver.lock", thread_local=False)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise StudyError(
                f"{directory} is in use by {self._holder()}; wait until it ends or choose another --out"
            ) from None
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        part = self._note.with_suffix(".part")
        part.write_text(json.dumps(note))
        os.replace(part, self._note)

    def _holder(self) -> str:
        try:
            note = json.loads(self._note.read_text())
            pid, host, since = int(note["pid"]), str(note["host"]), str(note["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
        if host == socket.gethostname() and not _alive(pid):  # left by a killed driver; the holder is just starting
            return f"another process (the note there is of process {pid}, which has ended)"
        return f"process {pid} on {host} since {since}"

    def release(self) -> None:
        """Let the next driver in; releasing twice does nothing."""
        if self._lock.is_locked:
            self._note.unlink(missing_ok=True)
            self._lock.release()


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@final
class _Journal(BaseJournalBackend):
    """Optuna's journal file, with errors that name the line.

    Its write lock is a file that a killed process leaves behind. It stays in use, because a dashboard may write too;
    the driver removes a left one on opening, and the absolute path lets Optuna itself release one after 30 s.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.line = path.resolve(), 0
        self._file = JournalFileBackend(str(self.path), JournalFileOpenLock(str(self.path)))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        self.line = log_number_from
        logs = iter(self._file.read_logs(log_number_from))
        while True:
            try:
                log = next(logs)
            except StopIteration:
                return
            except ValueError as error:
                raise self.corrupt(self.line + 1) from error
            self.line += 1
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._file.append_logs(logs)

    def corrupt(self, line: int) -> StudyError:
        return StudyError(
            f"{self.path}, line {line}: not a record of a search; restore the file or choose another --out"
        )


def _mend(path: Path) -> None:
    """Remove what a killed writer left: a torn last line, and the lock of Optuna's journal."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    last = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    if end and not _is_record(data[last:end]):
        end = last
    torn = data[end:]
    if not torn:
        return
    if not torn.startswith(_APPEND[: len(torn)]) and torn.strip(b"\0"):  # no append of ours: not ours to cut
        line = data.count(b"\n", 0, end) + 1
        raise StudyError(f"{path}, line {line}: not a record of a search; restore the file or choose another --out")
    with path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _open_journal(path: Path) -> JournalStorage:
    journal = _Journal(path)
    try:
        return JournalStorage(journal)
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError, IndexError) as error:
        raise journal.corrupt(journal.line) from error


def _open_url(url: str) -> BaseStorage:
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # whatever a database driver raises, or its absence
        raise StudyError(f"cannot open the storage {_shown(url)}: {str(error).splitlines()[0]}") from error


def _shown(url: str) -> str:
    """`url` without its password."""
    return re.sub(r"://[^@/]*@", "://***@", url)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes about new studies and experimental calls."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _load(storage: BaseStorage, name: str) -> optuna.Study | None:
    with _quiet():
        try:
            return optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return None


def _create(storage: BaseStorage, name: str, identity: Identity) -> optuna.Study:
    goals = [text.split(":") for text in identity.objectives]
    with _quiet():
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["minimize" if direction == "min" else "maximize" for direction, _ in goals],
        )
        study.set_metric_names([metric for _, metric in goals])
        for key, value in identity.to_json().items():
            study.set_user_attr(key, value)
    return study


def _architectures(space: SearchSpace, documents: Sequence[Mapping[str, Any]]) -> list[Architecture]:
    """What `space.from_document` gives for each document, all at once; what is wrong shows in the digest."""
    positions = [{None: ABSENT} | {value: i for i, value in enumerate(gene.choices)} for gene in space.genes]
    rows = [
        [position[document["genes"].get(name)] for name, position in zip(space.names, positions, strict=True)]
        for document in documents
    ]
    return space.architectures(np.array(rows, dtype=np.int16)) if rows else []


def _entries(study: optuna.Study, space: SearchSpace, where: str) -> Iterator[Entry]:
    """The finished trials, oldest first, each architecture once; half-written and foreign ones are left out."""
    finished = (TrialState.COMPLETE, TrialState.FAIL)
    found = [
        trial
        for trial in study.get_trials(deepcopy=False, states=finished)
        if trial.user_attrs.keys() >= {"arch", "digest", "metrics", "batch"}
    ]
    try:
        archs = _architectures(space, [trial.user_attrs["arch"] for trial in found])
    except (KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{where} holds an architecture that is not of this space: {error}") from error
    seen = set[str]()
    for trial, arch in zip(found, archs, strict=True):
        attrs = trial.user_attrs
        if arch.digest != attrs["digest"]:
            raise StudyError(f"{where}: the architecture of trial {trial.number} does not have its digest; restore it")
        if arch.digest not in seen:
            asked = tuple(attrs["asked"]) if "asked" in attrs else None
            yield Entry(Trial(len(seen), arch, attrs["metrics"], attrs["batch"]), attrs.get("error"), asked)
            seen.add(arch.digest)


def read(directory: Path | None = None, *, storage: str | None = None, name: str | None = None) -> Record:
    """What a finished or running search has recorded; takes no lock and changes nothing.

    Args:
        directory: The run's folder.
        storage: The storage URL, where the search used one.
        name: Name of the Optuna study in that storage; None means the folder's.

    Raises:
        StudyError: There is no search, or its ledger is damaged.
    """
    where, opened = _open(directory, storage, create=False)
    study = _load(opened, _study_name(directory, storage, name))
    if study is None or not study.user_attrs.keys() >= set(Identity.__slots__):
        raise StudyError(f"{where} holds no search; check the folder, or run nas search first")
    attrs = study.user_attrs
    space = search_spaces.from_json(attrs["space"])
    return Record(
        space,
        tuple(Objective.parse(text) for text in attrs["objectives"]),
        tuple(Constraint.parse(text) for text in attrs["constraints"]),
        attrs,
        tuple(_entries(study, space, where)),
    )


def _open(directory: Path | None, storage: str | None, *, create: bool) -> tuple[str, BaseStorage]:
    """How to call the place in messages, and its Optuna storage."""
    if storage is not None:
        return _shown(storage), _open_url(storage)
    if directory is None:
        return "this search", InMemoryStorage()
    path = directory / JOURNAL
    if create:
        _mend(path)
    elif not path.is_file():
        raise StudyError(f"{directory} holds no search: there is no {JOURNAL}; check the folder")
    return str(directory), _open_journal(path)


def _study_name(directory: Path | None, storage: str | None, name: str | None) -> str:
    return name or (directory.resolve().name if storage is not None and directory is not None else NAME)


@final
class Ledger:
    """The finished trials of one search; holds the run's folder until `close`.

    Args:
        space: The space of every architecture.
        identity: What a reopened ledger must agree with.
        objectives: Their metrics are the Optuna values.
        constraints: Kept with each trial in Optuna's form, where <= 0 is feasible.
        device: Where the evaluations run, kept with each trial.
        directory: The run's folder, created if missing; None takes no lock.
        storage: An Optuna storage URL; None means the folder's journal, or memory without a folder.
        name: Name of the Optuna study; None means the folder's with a URL, else "search".
        resume: Whether to go on where trials exist.

    Raises:
        StudyError: In use, damaged, of another search, or not empty without `resume`.
    """

    def __init__(
        self, space: SearchSpace, identity: Identity, objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (), *, device: str = "", directory: Path | None = None,
        storage: str | None = None, name: str | None = None, resume: bool = False,
    ) -> None:  # fmt: skip
        self._space, self._identity = space, identity
        self._objectives, self._constraints, self._device = tuple(objectives), tuple(constraints), device
        self._directory, self._storage, self._name = directory, storage, _study_name(directory, storage, name)
        self._lock = None if directory is None else _hold(directory)
        self._interrupted = False
        try:
            self._where, self._study = self._connect()
            self._keep(_entries(self._study, space, self._where))
            if self.entries and not resume:
                held = f"{self._where} already holds {len(self.entries)} trials"
                raise StudyError(f"{held}; continue it with --resume or choose another --out")
        except BaseException:
            self.close()
            raise

    def _connect(self) -> tuple[str, optuna.Study]:
        where, storage = _open(self._directory, self._storage, create=True)
        study = _load(storage, self._name)
        expected = json.loads(json.dumps(self._identity.to_json()))
        if study is not None and not study.get_trials(deepcopy=False):  # a start that was killed or recorded nothing
            with _quiet():
                optuna.delete_study(study_name=self._name, storage=storage)
            study = None
        if study is None:
            return where, _create(storage, self._name, self._identity)
        _compare(where, study.user_attrs, expected)
        return where, study

    def _keep(self, entries: Iterable[Entry]) -> None:
        self.entries = list[Entry]()
        self._by_digest, self._asked = dict[str, Trial](), dict[int, tuple[str, ...]]()
        for entry in entries:
            self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._by_digest[entry.trial.arch.digest] = entry.trial
        if entry.asked is not None:
            self._asked[entry.trial.batch] = entry.asked

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, oldest first; failed ones have no metrics."""
        return [entry.trial for entry in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, digest: str) -> Trial | None:
        """The finished trial of the architecture with this digest."""
        return self._by_digest.get(digest)

    def asked(self, batch: int) -> tuple[str, ...] | None:
        """The digests of a batch as it was asked; None where none of its trials was new."""
        return self._asked.get(batch)

    def add(
        self, arch: Architecture, metrics: Mapping[str, float], *, error: str | None = None, batch: int,
        seconds: float, asked: Sequence[str] | None = None,
    ) -> Trial:  # fmt: skip
        """Record one finished trial; when this returns it survives a kill.

        Args:
            arch: What was evaluated; not in the ledger yet.
            metrics: All of it, every number finite; empty where the evaluation failed.
            error: Why it failed.
            batch: The ask that it came from.
            seconds: What its evaluation took.
            asked: For the first new trial of a batch: the digests of all that was asked.

        Raises:
            StudyError: The ledger cannot be written.
        """
        attrs = {"arch": arch.to_json(), "digest": arch.digest, "metrics": dict(metrics), "batch": batch}
        attrs |= {"seed": self._identity.seed, "weights": self._identity.weights, "device": self._device}
        attrs |= {"seconds": round(seconds, 6), "nas": nas.__version__}
        attrs |= ({} if error is None else {"error": error}) | ({} if asked is None else {"asked": list(asked)})
        record = create_trial(
            state=TrialState.COMPLETE if error is None else TrialState.FAIL,
            values=[metrics[objective.metric] for objective in self._objectives] if error is None else None,
            user_attrs=attrs,
            system_attrs=self._violations(metrics),
        )
        assert record.datetime_complete is not None
        record.datetime_start = record.datetime_complete - timedelta(seconds=seconds)
        entry = Entry(Trial(len(self.entries), arch, attrs["metrics"], batch), error, tuple(asked) if asked else None)
        self._interrupted = True
        try:
            self._study.add_trial(record)
        except OSError as failure:
            raise StudyError(
                f"cannot write to {self._where}: {failure.strerror}; make room and use --resume"
            ) from failure
        self._remember(entry)
        self._interrupted = False
        return entry.trial

    def _violations(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """The constraints in the form of Optuna's constrained samplers and plots: feasible where <= 0."""
        if not self._constraints or not metrics:
            return {}
        return {
            "constraints": [(metrics[c.metric] - c.bound) * (1 if c.sense == "<=" else -1) for c in self._constraints]
        }

    def refresh(self) -> None:
        """Read again what is stored, if the last `add` was interrupted; then it is unknown whether it was kept."""
        if not self._interrupted:
            return
        if self._directory is not None and self._storage is None:
            self._where, self._study = self._connect()
        self._keep(_entries(self._study, self._space, self._where))
        self._interrupted = False

    def close(self) -> None:
        """Let the next driver in."""
        if self._lock is not None:
            self._lock.release()


def _hold(directory: Path) -> DriverLock:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return DriverLock(directory)
    except OSError as error:
        raise StudyError(f"cannot write to {directory}: {error.strerror}; choose another --out") from error


def _compare(where: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for key, value in here.items():
        if key != "space" and there.get(key) != value:  # the digest says it shorter
            name = key.removesuffix("_digest")
            raise StudyError(
                f"{where} belongs to another search: {name} is {there.get(key)!r} there and {value!r} here; "
                "choose another --out"
            )
