"""glibc's allocator: told to keep what is freed, and to give it back where that becomes too much.

By default every tensor above some megabytes is fetched from the system, given back when freed, and paid for in page
faults at its next use: a factor of two and more in passes over many images. Process-wide, so it is for whoever owns
the process: the command line and the workers of a pool call `keep_freed_memory`, the library does not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Let freed memory stay with this process for its next tensors; on anything but Linux with glibc do nothing.

    Returns:
        Whether the allocator took it.
    """
    glibc = _glibc()
    if glibc is None:
        return False
    return bool(glibc.mallopt(_MMAP_THRESHOLD, 2**30)) and bool(glibc.mallopt(_TRIM_THRESHOLD, 2**31 - 1))


@final
class HeapLimit:
    """Gives free memory back to the system where a process has grown too much; elsewhere than on glibc never.

    The heap keeps holes between what stays, and they grow slowly; filling given back memory again costs time.

    Args:
        growth: Bytes from now on.
    """

    def __init__(self, growth: int) -> None:
        self._glibc = _glibc()
        if self._glibc is not None:  # what is free now would be taken for what others need
            self._glibc.malloc_trim(0)
        self._most = resident() + growth

    def check(self) -> None:
        """Give back what is free, where there is reason to."""
        if self._glibc is not None and resident() > self._most:
            self._glibc.malloc_trim(0)
            if (left := resident()) > self._most:  # others hold it; every later check would trim in vain
                self._most = left + left // 32


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None  # or another C library
