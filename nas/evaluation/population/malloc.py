"""Settings of glibc's allocator: keep freed memory, and return it to the system where it becomes too much.

By default the allocator fetches every tensor above some megabytes from the system, returns it when it is freed, and
pays for it in page faults at the next use. Passes over large batches then take twice as long and more. The settings
are process-wide, so they belong to whoever owns the process: the command line and the workers of a pool call
`keep_freed_memory`, the library does not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Keep freed memory in this process for its next tensors. Only glibc on Linux can; elsewhere nothing happens.

    Returns:
        Whether the allocator accepted it.
    """
    glibc = _glibc()
    if glibc is None:
        return False
    return bool(glibc.mallopt(_MMAP_THRESHOLD, 2**30)) and bool(glibc.mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def trim() -> None:
    """Return the free memory of the heap to the system; without glibc nothing happens."""
    glibc = _glibc()
    if glibc is not None:
        glibc.malloc_trim(0)


@final
class HeapLimit:
    """Returns free memory to the system when the process has grown too much. Without glibc it does nothing.

    Fragmentation of the heap grows slowly. Memory that was returned costs time when it is filled again.

    Args:
        growth: Bytes that the process may grow from now on.
        resident: Bytes of the process that are in memory.
        trim: Returns free memory.
    """

    def __init__(self, growth: int, *, resident: Callable[[], int] = resident, trim: Callable[[], None] = trim) -> None:
        self._resident, self._trim = resident, trim
        trim()  # or free memory would count as what others need
        self._most = resident() + growth

    def check(self) -> None:
        """Return what is free if the process has grown too much."""
        if self._resident() > self._most:
            self._trim()
            if (left := self._resident()) > self._most:  # it is in use; later checks would trim in vain
                self._most = left + left // 32


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None  # or another C library
