"""The folder where hapdask keeps what it can make again: decompressed inputs, derived headers.

A file is ``kind/key/name``; it appears whole or not at all, processes may share the folder, and
what hapdask put there may be thrown away at any moment.  The oldest goes when there is too much.
Other files in the folder are nobody's business: they are neither counted nor touched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from hapdask.errors import ParameterError

log = logging.getLogger(__name__)

#: What is kept: decompressed inputs, WCSs made from reference tables, lists of reference stars.
Kind = Literal["unpacked", "wcs", "references"]

#: Bytes kept before the oldest files go; ``HAPDASK_CACHE_GB`` sets another limit.
MAX_BYTES = 20 << 30
_UNFINISHED = ".tmp"
_KEY = re.compile(r"[0-9a-f]{32,64}$")
_ABANDONED_NS = 24 * 3600 * 10**9  # no process writes one file for a day


def cache_folder() -> Path:
    """``HAPDASK_CACHE``, else ``hapdask`` in the user's cache folder (XDG); need not exist."""
    own = os.environ.get("HAPDASK_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "hapdask"


def open_cached(kind: Kind, key: str, name: str) -> BinaryIO | None:
    """Open a file of the cache for reading, marked as used just now; None where it is not there."""
    try:
        file = (cache_folder() / kind / key / name).open("rb")
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a cache that may only be read serves as well
        os.utime(file.fileno())
    return file


def keep(kind: Kind, key: str, name: str, pieces: Iterable[bytes]) -> BinaryIO:
    """Write a file of the cache; it appears when the last piece is written.

    Parameters
    ----------
    kind : {"unpacked", "wcs", "references"}
    key : str
        32 to 64 hexadecimal digits: a hash of all that the content depends on.
    name : str
    pieces : iterable of bytes

    Returns
    -------
    binary file
        The file, open for reading: it can be read to its end even if another process throws it
        out in the meantime.

    Raises
    ------
    OSError
        If the folder cannot be written or is full.
    """
    path = cache_folder() / kind / key / name
    temporary = path.with_name(f"{name}.{secrets.token_hex(4)}{_UNFINISHED}")
    with ExitStack() as undo:
        file = undo.enter_context(_create(temporary))
        undo.callback(_remove, temporary)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.replace(temporary, path)
        undo.pop_all()
    _throw_out_oldest(path)
    file.seek(0)
    return file


def _create(path: Path) -> BinaryIO:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("x+b")
        except FileNotFoundError:  # another process has just removed the empty folder
            continue


def _remove(path: Path) -> None:
    """Remove a file, and its folder if that is empty then; others may have been quicker."""
    with contextlib.suppress(OSError):
        path.unlink()
        path.parent.rmdir()


def _throw_out_oldest(new: Path) -> None:
    """Remove files, least recently used first, until the limit holds; never the new one."""
    files = []
    unfinished_since = time.time_ns() - _ABANDONED_NS
    for path in _own_files():
        with contextlib.suppress(OSError):
            status = path.stat()
            if not path.name.endswith(_UNFINISHED) or status.st_mtime_ns < unfinished_since:
                files.append((status.st_mtime_ns, status.st_size, path))
    excess = sum(size for _, size, _ in files) - _limit()
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        if path != new:
            log.info("%s: thrown out of the cache", path)
            _remove(path)
            excess -= size


def _own_files() -> Iterator[Path]:
    """Files that `keep` wrote; the folder may be one that holds a user's own as well."""
    for kind in get_args(Kind):
        for folder in _entries(cache_folder() / kind):
            if _KEY.match(folder.name):
                yield from _entries(folder)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not there, or gone by now
        return []


def _limit() -> int:
    text = os.environ.get("HAPDASK_CACHE_GB", "").strip()
    if not text:
        return MAX_BYTES
    try:
        return int(float(text) * (1 << 30))
    except (ValueError, OverflowError) as error:
        raise ParameterError(f"HAPDASK_CACHE_GB = {text!r} is not a number") from error
