"""One driver at a time in a run's folder."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import final

import filelock

from nas.errors import StudyError
from nas.files import write_text


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
        write_text(self._note, json.dumps(note), durable=False)

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
