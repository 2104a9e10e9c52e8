"""Locks of folders and files that are held only while a process lives: writers of one product.

The system lets go of them when a process dies, so what a killed writer left is known by its lock
being free.  Where a file system has no such locks, nothing waits and nothing is removed.  Not
here: the lock of a store, which other hosts must see too (`lock`).
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other writers of products out of a folder for a moment."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        lock(fd, wait=True)
        yield
    finally:
        os.close(fd)


def lock(fd: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; False where that cannot be."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked_elsewhere(fd: int) -> bool:
    """Lock an open file until it is closed; True where another process holds it."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there are no locks here
        return False
    return False


def remove_abandoned(path: Path) -> None:
    """Remove the side files ``<name>.<8 characters>.part`` of a file that nobody has locked."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.????????.part"):
        fd = os.open(part, os.O_RDWR)
        try:
            if lock(fd):
                log.warning("removing %s, left by an export that was killed", part)
                part.unlink(missing_ok=True)
        finally:
            os.close(fd)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a crash of the system."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
