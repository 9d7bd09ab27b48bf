"""glibc's allocator, told to keep what is freed.

By default every tensor above some megabytes is fetched from the system, given back when freed, and paid for in page
faults at its next use: a factor of two and more in passes over many images. Process-wide, so it is for whoever owns
the process: the command line and the workers of a pool call it, the library does not.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Let freed memory stay with this process for its next tensors; on anything but Linux with glibc do nothing.

    Returns:
        Whether the allocator took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
