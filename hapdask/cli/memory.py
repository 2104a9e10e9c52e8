"""Memory of a process of our own: freed arrays are kept, and cycles looked for rarely.

By default glibc gives every large array back to the system and asks for it again, page by page:
a fifth of a run's processor time.  Only processes of our own are set up so, never a user's.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import sys

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
#: New objects after which Python looks for cycles.
_OBJECTS = 200_000


def keep_freed_memory() -> None:
    """Set up this process; without effect where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    # One heap, so that threads use each other's freed memory.
    library.mallopt(_ARENA_MAX, 1)


def collect_rarely() -> None:
    """Let Python look for cycles seldom: imports alone set it off a hundred times, for nothing.

    Nor at the end, when all memory goes back: a fifth of a second.
    """
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)
