"""Opening, reading and writing a ledger."""

from __future__ import annotations

import contextlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState, create_trial

import nas
from nas import search_spaces
from nas.errors import StudyError
from nas.files import reason
from nas.ledger.entries import Entry, Identity, entries_of
from nas.ledger.journal import JOURNAL, open_journal, repair
from nas.ledger.lock import DriverLock
from nas.ledger.table import trials_dataframe
from nas.objectives import Constraint, Objective
from nas.search_spaces import Architecture, SearchSpace
from nas.searchers import Trial

if TYPE_CHECKING:
    import pandas

NAME = "search"  # of the Optuna study in a journal, which holds no other
TOTALS = "totals"  # the study's attribute with the figures of each run


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

    @property
    def totals(self) -> list[dict[str, Any]]:
        """What each run that ended did, oldest first: `trials`, `new`, `run_s`, `workers` and `Totals.to_json()`."""
        return list(self.attributes.get(TOTALS, []))

    def trials_dataframe(self) -> pandas.DataFrame:
        """One row a finished trial; see `table.trials_dataframe`."""
        return trials_dataframe(self.space, self.entries)


def read(directory: Path | None = None, *, storage: str | None = None, name: str | None = None) -> Record:
    """What a finished or running search has recorded; takes no lock and changes nothing.

    Args:
        directory: The run's folder.
        storage: The storage URL, where the search used one.
        name: Name of the Optuna study in that storage; None means the folder's.

    Raises:
        StudyError: There is no search, or its ledger is damaged.
    """
    record = find(directory, storage=storage, name=name)
    if record is None:
        where = directory if storage is None else _shown(storage)
        raise StudyError(f"{where} holds no search; check the folder, or run nas search first")
    return record


def find(directory: Path | None = None, *, storage: str | None = None, name: str | None = None) -> Record | None:
    """As `read`, but None where a search was killed before its ledger was complete; whoever comes begins it again.

    Raises:
        StudyError: There is no ledger at all, or it is damaged.
    """
    where, place = _open(directory, storage, create=False)
    study = _load(place, _study_name(directory, storage, name))
    if study is None or not study.user_attrs.keys() >= set(Identity.__slots__):
        return None
    attrs = study.user_attrs
    space = search_spaces.from_json(attrs["space"])
    return Record(
        space,
        tuple(Objective.parse(text, {}) for text in attrs["objectives"]),
        tuple(Constraint.parse(text) for text in attrs["constraints"]),
        attrs,
        tuple(entries_of(study, space, where)),
    )


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
        self.space, self._identity = space, identity
        self._objectives, self._constraints, self._device = tuple(objectives), tuple(constraints), device
        self._directory, self._storage, self._name = directory, storage, _study_name(directory, storage, name)
        self._lock = None if directory is None else _locked(directory)
        self._interrupted = self._closed = False
        try:
            self._where, self._study = self._connect()
            self._hold_entries(entries_of(self._study, space, self._where))
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
        # A start that was killed or recorded nothing binds nobody: it may even lack part of its identity.
        if study is not None and not study.get_trials(deepcopy=False):
            with _quiet():
                optuna.delete_study(study_name=self._name, storage=storage)
            study = None
        if study is None:
            return where, _create(storage, self._name, self._identity)
        _compare(where, study.user_attrs, expected)
        return where, study

    def _hold_entries(self, entries: Iterable[Entry]) -> None:
        self.entries = list[Entry]()
        self._by_digest, self._asked = dict[str, Trial](), dict[int, tuple[str, ...]]()
        for entry in entries:
            self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._by_digest[entry.digest] = entry.trial
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
        digest = arch.digest
        attrs = {"arch": arch.to_json(), "digest": digest, "metrics": dict(metrics), "batch": batch}
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
        entry = Entry(
            digest,
            Trial(len(self.entries), arch, dict(metrics), batch),
            error,
            tuple(asked) if asked else None,
            round(seconds, 6),
        )
        with self._writing():
            self._study.add_trial(record)
            self._remember(entry)
        return entry.trial

    def add_totals(self, document: Mapping[str, Any]) -> None:
        """Add a run's figures to the study's attribute `totals`, a list with one document a run.

        Raises:
            StudyError: The ledger cannot be written.
        """
        self.refresh()
        with self._writing():
            self._study.set_user_attr(TOTALS, [*self._study.user_attrs.get(TOTALS, []), dict(document)])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Until the block has ended it is unknown what was kept."""
        self._interrupted = True
        try:
            yield
        except (OSError, optuna.exceptions.StorageInternalError) as failure:
            raise StudyError(
                f"cannot write to {self._where}: {reason(failure)}; repair that, then go on with --resume"
            ) from failure
        self._interrupted = False

    def _violations(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """The constraints in the form of Optuna's constrained samplers and plots: feasible where <= 0."""
        if not self._constraints or not metrics:
            return {}
        return {
            "constraints": [(metrics[c.metric] - c.bound) * (1 if c.sense == "<=" else -1) for c in self._constraints]
        }

    def refresh(self) -> None:
        """Read again what is stored, if the last `add` was interrupted; then it is unknown whether it was kept.

        Raises:
            StudyError: The ledger was closed, so somebody else may write to it.
        """
        if self._closed:
            raise StudyError(f"{self._where} was closed; open the study again with --resume")
        if not self._interrupted:
            return
        if self._directory is not None and self._storage is None:
            self._where, self._study = self._connect()
        self._hold_entries(entries_of(self._study, self.space, self._where))
        self._interrupted = False

    def close(self) -> None:
        """Let the next driver in; what was read stays readable."""
        self._closed = True
        if self._lock is not None:
            self._lock.release()


def _locked(directory: Path) -> DriverLock:
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


def _open(directory: Path | None, storage: str | None, *, create: bool) -> tuple[str, BaseStorage]:
    """How to call the place in messages, and its Optuna storage."""
    if storage is not None:
        return _shown(storage), _open_url(storage)
    if directory is None:
        return "this search", InMemoryStorage()
    path = directory / JOURNAL
    if create:
        repair(path)
    elif not path.is_file():
        raise StudyError(f"{directory} holds no search: there is no {JOURNAL}; check the folder")
    return str(directory), open_journal(path)


def _study_name(directory: Path | None, storage: str | None, name: str | None) -> str:
    return name or (directory.resolve().name if storage is not None and directory is not None else NAME)


def _open_url(url: str) -> BaseStorage:
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # whatever a database driver raises, or its absence
        raise StudyError(f"cannot open the storage {_shown(url)}: {reason(error)}") from error


def _shown(url: str) -> str:
    """`url` without its password."""
    return re.sub(r"://[^@/]*@", "://***@", url)


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
