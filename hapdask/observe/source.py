"""Bytes of a file by range: local ones by the system's own calls, remote ones through fsspec.

A `ByteSource` lives inside a ``with`` block and nowhere else: no handle outlives a call, so a
thousand exposures need one descriptor.  A .gz file is read through its decompressed copy
(`unpacked`).  Nothing here knows FITS.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.remote import SCHEMES, is_remote, open_remote, retrying
from hapdask.observe.unpacked import is_packed, unpack

#: What a user may name a file by.
PathLike = str | os.PathLike[str]
#: Bytes fetched at once while headers are read: one request usually holds a whole header.
WINDOW = 16 * 2880
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL = "file"
#: Whether the system reads at a place without moving there: not all do.
_PREADV = hasattr(os, "preadv")


def resolve(path: PathLike) -> str:
    """Make an address that means the same in every process.

    Parameters
    ----------
    path : str or path-like
        A local path (relative, ``~``, ``file://``), or an ``http(s)://`` or ``s3://`` address.

    Returns
    -------
    str
        An absolute local path, or the address as given.

    Raises
    ------
    InputError
        For another kind of address, a chain of them (``a::b``), or a name with a zero byte.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise InputError(repr(text), "a name with a zero byte", remedy="check the name")
    match = _SCHEME.match(text)
    if match is None:
        return os.path.abspath(os.path.expanduser(text))
    scheme = match[1].lower()
    if scheme == _LOCAL:
        return os.path.abspath(text[match.end() :])
    if scheme not in SCHEMES or "::" in text:
        raise InputError(
            text,
            f"addresses of the kind {scheme}:// cannot be read",
            remedy="give a local path, or an http(s):// or s3:// address",
        )
    return scheme + text[len(scheme) :]


class ByteSource:
    """One open file, read by range; made by `open_source`.

    Attributes
    ----------
    url : str
        The address, as resolved.
    size : int
        Length of the file, bytes; decompressed.
    stamp : str
        Modification time (ns) of a local file; ETag, else Last-Modified, of a remote one.
    remote : bool
        Whether every read asks a server.
    """

    def __init__(
        self, url: str, handle: Any, size: int, stamp: str, *, remote: bool = False
    ) -> None:
        self.url, self.size, self.stamp = url, size, stamp
        self.remote = remote
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

    def read_into(self, out: NDArray[np.uint8], offset: int, *, ext: str | None = None) -> None:
        """Read as `read` does, into an array of the caller's own.

        Memory that is used again costs no new pages: a chip is read several times faster.
        """
        if self.remote or offset + out.size > self.size:
            out[:] = np.frombuffer(self.read(offset, out.size, ext=ext), np.uint8)
            return
        try:
            got = self._read_local(out, offset)
        except OSError as error:
            raise InputError(
                self.url, f"cannot be read: {error}", ext=ext, remedy="try again later"
            ) from error
        if got != out.size:
            out[:] = np.frombuffer(self.read(offset, out.size, ext=ext), np.uint8)

    def _read_local(self, out: NDArray[np.uint8], offset: int) -> int:
        """Fill an array from a local file or from memory; says how many bytes came."""
        if _PREADV and not isinstance(self._handle, io.BytesIO):
            return os.preadv(self._handle.fileno(), [out.data], offset)
        self._handle.seek(offset)
        return int(self._handle.readinto(out.data))

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

        def fetched() -> bytes:
            self._handle.seek(offset)
            return bytes(self._handle.read(count))

        if self.remote:
            return retrying(self.url, fetched, "read", remedy="try again later", ext=ext)
        try:
            return fetched()
        except OSError as error:
            raise InputError(
                self.url, f"cannot be read: {error}", ext=ext, remedy="try again later"
            ) from error


@contextmanager
def open_source(url: str) -> Iterator[ByteSource]:
    """Open a resolved address for reading by range, for the length of a ``with`` block.

    Raises
    ------
    InputError
        If it does not exist, is no regular file, or the server cannot serve ranges.
    """
    with _open_stored(url) as stored:
        if not is_packed(url):
            yield stored
            return
        with unpack(stored) as handle:
            size = os.fstat(handle.fileno()).st_size
            yield ByteSource(url, handle, size, stored.stamp)


def memory_source(url: str, data: bytes) -> ByteSource:
    """Make a source of bytes that are in memory; ``url`` is named in errors."""
    return ByteSource(url, io.BytesIO(data), len(data), "")


@contextmanager
def _open_stored(url: str) -> Iterator[ByteSource]:
    """Open a file as it is stored."""
    remote = is_remote(url)
    handle, size, stamp = open_remote(url) if remote else _open_local(url)
    with handle:
        yield ByteSource(url, handle, size, stamp, remote=remote)


def _open_local(url: str) -> tuple[Any, int, str]:
    try:
        if not stat.S_ISREG(os.stat(url).st_mode):  # opening a pipe would wait for its writer
            raise InputError(url, "is not a regular file", remedy="name a FITS file")
        handle = open(url, "rb")  # noqa: SIM115 - closed by who asked for it
        status = os.fstat(handle.fileno())
    except OSError as error:
        raise InputError(
            url, f"cannot be opened: {error.strerror or error}", remedy="check the path"
        ) from error
    return handle, status.st_size, str(status.st_mtime_ns)
