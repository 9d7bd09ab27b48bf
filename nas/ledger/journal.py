"""The journal file of a run: opening it after a kill, and saying where it is damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileOpenLock

from nas.errors import StudyError

JOURNAL = "journal.log"

_APPEND = b'{"op_code":'  # what every line of a journal starts with


@final
class _Journal(BaseJournalBackend):
    """Optuna's journal file, with errors that name the line.

    Its write lock is a file that a killed process leaves behind. It stays in use, because a dashboard may write too;
    the driver removes a left one on opening, and the absolute path lets Optuna itself release one after 30 s.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.line = path, 0
        absolute = str(path.resolve())
        self._file = JournalFileBackend(absolute, JournalFileOpenLock(absolute))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        self.line = log_number_from
        logs = iter(self._file.read_logs(log_number_from))
        while True:
            try:
                log = next(logs)
            except StopIteration:
                return
            except ValueError as error:
                raise _damaged(self.path, self.line + 1) from error
            self.line += 1
            yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._file.append_logs(logs)


def repair(path: Path) -> None:
    """Remove what a killed writer left: an incomplete last line, and the lock of Optuna's journal.

    The caller holds the run's folder.

    Raises:
        StudyError: The file does not end like a journal; it stays as it is.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return
    data = path.read_bytes()
    size, line = valid_size(data)
    if line is not None:
        raise _damaged(path, line)
    if size < len(data):
        with path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def valid_size(data: bytes) -> tuple[int, int | None]:
    """How many bytes of a journal stay when what a killed writer left is cut off.

    Returns:
        The size, and the number of the line that nothing but damage explains, or None. Only the end is looked at.
    """
    complete = data.rfind(b"\n") + 1
    last = data.rfind(b"\n", 0, max(complete - 1, 0)) + 1
    valid = complete == 0 or _is_record(data[last:complete])
    size = complete if valid else last
    rest = data[size:]
    # The rest may be an append of ours or blocks that never reached the disk; anything else is not ours to cut off.
    ours = rest.startswith(_APPEND[: len(rest)]) or not rest.strip(b"\0")
    if ours and (valid or complete == len(data)):
        return size, None
    return size, data.count(b"\n", 0, size) + 1


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def open_journal(path: Path) -> JournalStorage:
    """Optuna's storage in that file, created if missing.

    Raises:
        StudyError: A line is no record; names the file and the line.
    """
    journal = _Journal(path)
    try:
        return JournalStorage(journal)
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError, IndexError) as error:
        raise _damaged(path, journal.line) from error


def _damaged(path: Path, line: int) -> StudyError:
    return StudyError(f"{path}, line {line}: not a record of a search; restore the file or choose another --out")
