from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import StudyError
from nas.ledger import DriverLock

HOLD = """
import sys
from pathlib import Path
from nas.ledger import DriverLock
lock = DriverLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_driver_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    first = DriverLock(tmp_path)
    expected = rf"in use by process {os.getpid()} on \S+ since \d{{4}}-\d\d-\d\dT.*choose another --out"
    with pytest.raises(StudyError, match=expected):
        DriverLock(tmp_path)
    first.release()
    first.release()
    assert not (tmp_path / "driver.json").exists()
    DriverLock(tmp_path).release()


def test_another_process_is_refused_until_the_holder_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyError, match=f"process {holder.pid} on "):
            DriverLock(tmp_path)
        holder.send_signal(signal.SIGKILL)
    assert json.loads((tmp_path / "driver.json").read_text())["pid"] == holder.pid  # a note, not a lock
    DriverLock(tmp_path).release()


def test_a_note_of_a_dead_process_is_not_passed_off_as_the_holder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lock = DriverLock(tmp_path)
    note = json.loads((tmp_path / "driver.json").read_text())
    (tmp_path / "driver.json").write_text(json.dumps(note | {"pid": ended.pid}))
    with pytest.raises(StudyError, match=re.escape(f"the note there is of process {ended.pid}, which has ended")):
        DriverLock(tmp_path)
    (tmp_path / "driver.json").write_text('{"pid":')
    with pytest.raises(StudyError, match="in use by another process; wait"):
        DriverLock(tmp_path)
    lock.release()
