"""Compressed inputs (.gz), decompressed once into the cache.

Pixels are read by byte range, which gzip does not allow.  The record of such an exposure names
the compressed file; what lies in the cache is made again when it is gone.  Nothing is ever
written beside an input.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from hapdask.errors import InputError
from hapdask.observe.cache import cache_folder, keep, open_cached

if TYPE_CHECKING:
    from hapdask.observe.source import ByteSource

log = logging.getLogger(__name__)

#: No exposure is larger; what grows beyond it is broken, or meant to fill the disk.
MAX_UNPACKED = 8 << 30
_STEP = 1 << 20
_KIND: Final = "unpacked"
_guard = threading.Lock()
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def is_packed(url: str) -> bool:
    """Whether an address is that of a gzip file, by its name."""
    return url.lower().endswith(".gz")


def unpack(packed: ByteSource) -> BinaryIO:
    """Open the decompressed copy of an open gzip file; make it first if need be.

    Parameters
    ----------
    packed : ByteSource
        The compressed bytes; its address, size and stamp name the copy.

    Returns
    -------
    binary file
        In the cache; it may be thrown out, but not out of the hands of who has it open.

    Raises
    ------
    InputError
        If the file is truncated or no gzip file, or the cache cannot hold it.
    """
    identity = f"{packed.url}\n{packed.size}\n{packed.stamp}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    name = packed.url.rpartition("/")[2][:-3] or "unpacked"
    with _guard:
        lock = _locks[key]
    with lock:  # other threads wait for the copy; other processes make their own, and one stays
        return open_cached(_KIND, key, name) or _decompress(packed, key, name)


def _decompress(packed: ByteSource, key: str, name: str) -> BinaryIO:
    log.info("%s: decompressing into %s", packed.url, cache_folder())
    try:
        return keep(_KIND, key, name, _pieces(packed))
    except OSError as error:
        raise InputError(
            packed.url,
            f"cannot be decompressed into {cache_folder()}: {error.strerror or error}",
            remedy="set HAPDASK_CACHE to a folder with room",
        ) from error


def _pieces(packed: ByteSource) -> Iterator[bytes]:
    """Decompressed bytes in order, checked against the sums that gzip keeps."""
    done = 0
    try:
        with gzip.GzipFile(fileobj=io.BufferedReader(_Stream(packed), _STEP)) as stream:
            while piece := stream.read(_STEP):
                done += len(piece)
                if done > MAX_UNPACKED:
                    raise InputError(
                        packed.url,
                        f"it decompresses to more than {MAX_UNPACKED >> 30} GB: no exposure",
                        remedy="name a FITS file",
                    )
                yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            packed.url,
            f"the compressed file is truncated or damaged: {error}",
            remedy="fetch the file again",
        ) from error


class _Stream(io.RawIOBase):
    """An open source as the kind of file that gzip reads."""

    def __init__(self, source: ByteSource) -> None:
        self._source, self._position = source, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._source.read_near(self._position, len(buffer))[: len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
