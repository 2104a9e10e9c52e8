"""Bytes of a file by range, local or over HTTP, through fsspec.

A `ByteSource` lives inside a ``with`` block and nowhere else: no handle outlives a call, so a
thousand exposures need one descriptor.  Nothing here knows FITS.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError

log = logging.getLogger(__name__)

#: Bytes fetched at once while headers are read: one request usually holds a whole header.
WINDOW = 16 * 2880
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL, _REMOTE = "file", ("http", "https")
#: Waits between tries of a failing network read, seconds.
_PAUSES = (0.2, 1.0)


def is_remote(url: str) -> bool:
    """Whether a resolved address is read over the network."""
    return url.startswith(("http://", "https://"))


def resolve(path: str | os.PathLike[str]) -> str:
    """Make an address that means the same in every process.

    Parameters
    ----------
    path : str or path-like
        A local path (relative, ``~``, ``file://``) or an ``http(s)://`` address.

    Returns
    -------
    str
        An absolute local path, or the address as given.

    Raises
    ------
    InputError
        For another kind of address, or a chain of them (``a::b``).
    """
    text = os.fspath(path)
    match = _SCHEME.match(text)
    if match is None:
        return os.path.abspath(os.path.expanduser(text))
    scheme = match[1].lower()
    if scheme == _LOCAL:
        return os.path.abspath(text[match.end() :])
    if scheme not in _REMOTE or "::" in text:
        raise InputError(
            text,
            f"addresses of the kind {scheme}:// cannot be read",
            remedy="give a local path or an http(s):// address",
        )
    return scheme + text[len(scheme) :]


class ByteSource:
    """One open file, read by range; made by `open_source`.

    Attributes
    ----------
    url : str
        The address, as resolved.
    size : int
        Length of the file, bytes.
    stamp : str
        Modification time (ns) of a local file; ETag, else Last-Modified, of a remote one.
    """

    def __init__(self, url: str, handle: Any, size: int, stamp: str) -> None:
        self.url, self.size, self.stamp = url, size, stamp
        self._handle = handle
        self._window = (0, b"")

    def read(self, offset: int, count: int, *, ext: str | None = None) -> bytes:
        """Read exactly ``count`` bytes; ``ext`` is named in the error if they are not there.

        Raises
        ------
        InputError
            If the file ends early or cannot be read.
        """
        data = self._fetch(offset, count, ext)
        if len(data) != count:
            raise InputError(
                self.url,
                f"the file is truncated: bytes {offset} to {offset + count} are needed, "
                f"{len(data)} of {count} are there",
                ext=ext,
                remedy="fetch the file again",
            )
        return data

    def read_array(self, offset: int, count: int, *, ext: str | None = None) -> NDArray[np.uint8]:
        """Read as `read` does, into an array of the caller's own.

        Memory of large arrays comes in large pages, that of bytes objects in small ones: a chip
        is read four times faster.
        """
        if is_remote(self.url) or offset + count > self.size:
            return np.frombuffer(self.read(offset, count, ext=ext), np.uint8).copy()
        out = np.empty(count, np.uint8)
        try:
            self._handle.seek(offset)
            got = self._handle.f.readinto(out)
        except OSError as error:
            raise InputError(
                self.url, f"cannot be read: {error}", ext=ext, remedy="try again later"
            ) from error
        if got != count:
            return np.frombuffer(self.read(offset, count, ext=ext), np.uint8).copy()
        return out

    def read_near(self, offset: int, count: int) -> bytes:
        """Read up to ``count`` bytes (fewer at the end of the file) with a look-ahead window."""
        start, window = self._window
        if not start <= offset <= offset + count <= start + len(window):
            window = self._fetch(offset, max(count, WINDOW), None)
            start, self._window = offset, (offset, window)
        return window[offset - start : offset - start + count]

    def _fetch(self, offset: int, count: int, ext: str | None) -> bytes:
        count = min(count, self.size - offset)
        if count <= 0:
            return b""
        errors = _network_errors() if is_remote(self.url) else (OSError,)
        tries = len(_PAUSES) + 1 if is_remote(self.url) else 1
        for attempt in range(tries):
            try:
                self._handle.seek(offset)
                return bytes(self._handle.read(count))
            except ValueError as error:  # how fsspec says that a range was not honoured
                _refuse_ranges(self.url, error)
            except errors as error:
                if attempt == tries - 1:
                    raise InputError(
                        self.url, f"cannot be read: {error}", ext=ext, remedy="try again later"
                    ) from error
                log.info("%s: %s; trying again", self.url, error)
                time.sleep(_PAUSES[attempt])
        raise AssertionError("unreachable")


@contextmanager
def open_source(url: str) -> Iterator[ByteSource]:
    """Open a resolved address for reading by range, for the length of a ``with`` block.

    Raises
    ------
    InputError
        If it does not exist, is no regular file, or the server cannot serve ranges.
    """
    handle, size, stamp = _open_remote(url) if is_remote(url) else _open_local(url)
    with handle:
        yield ByteSource(url, handle, size, stamp)


def _open_local(url: str) -> tuple[Any, int, str]:
    from fsspec.implementations.local import LocalFileSystem

    files = LocalFileSystem()
    try:
        if files.info(url)["type"] != "file":
            raise InputError(url, "is not a regular file", remedy="name a FITS file")
        handle = files.open(url, "rb")
        status = os.fstat(handle.fileno())
    except OSError as error:
        raise InputError(
            url, f"cannot be opened: {error.strerror or error}", remedy="check the path"
        ) from error
    return handle, status.st_size, str(status.st_mtime_ns)


def _open_remote(url: str) -> tuple[Any, int, str]:
    import fsspec

    files = fsspec.filesystem("https" if url.startswith("https") else "http")
    try:
        info = files.info(url)
        if info.get("size") is None or not info.get("partial", True):
            _refuse_ranges(url, None)
        handle = files.open(url, "rb", size=info["size"], cache_type="none")
    except _network_errors() as error:
        cause = error.__cause__ or error
        raise InputError(
            url, f"cannot be opened: {cause}", remedy="check the address and the network"
        ) from error
    stamp = str(info.get("ETag") or info.get("Last-Modified") or "")
    return handle, int(info["size"]), stamp


def _network_errors() -> tuple[type[Exception], ...]:
    from aiohttp import ClientError

    return (OSError, TimeoutError, ClientError)


def _refuse_ranges(url: str, error: Exception | None) -> NoReturn:
    raise InputError(
        url,
        "the server does not serve byte ranges",
        remedy="download the file and open the copy",
    ) from error
