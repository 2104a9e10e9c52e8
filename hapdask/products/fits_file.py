"""A FITS file of images written in pieces, in any order, that appears whole or not at all.

Strategy: the layout is fixed before any pixel is known; all bytes go by offset into a side file
``<name>.<random>.part``, whose room is claimed at once so that a full disk shows at the start;
headers and checksums follow at the end, then the file is synced and, with the others of its
product, renamed.  Memory holds one piece.  Not here: what the headers say (`headers`), which
pixels are written (`fits_export`).
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hapdask.errors import StoreError
from hapdask.kernels.exporting import swap_words
from hapdask.products.checksum import add_rows, add_total, checksummed
from hapdask.products.fits_cards import BLOCK, Card
from hapdask.products.folder_lock import alone_in, lock, remove_abandoned, sync_folder
from hapdask.products.objects import storage_errors
from hapdask.products.side_file import refuse_existing

log = logging.getLogger(__name__)

#: Bytes of pixels that are turned round and written at a time.
_STRIP = 1 << 19
_WORD = np.dtype(np.uint32)
_BITPIX = {
    np.dtype(">f4"): -32,
    np.dtype(">i4"): 32,
    np.dtype(">i2"): 16,
    np.dtype("u1"): 8,
}


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be written.

    Parameters
    ----------
    name : str
        EXTNAME, for an extension.
    dtype : numpy dtype
        ``>f4``, ``>i4``, ``>i2`` or ``u1``.
    shape : tuple of int
        ``(ny, nx)`` or ``(planes, ny, nx)``.
    room : int
        2880-byte blocks that its header may take.
    primary : bool
        Whether it stands in the primary HDU: the first image of a file without another one.
    extended : bool
        Whether anything follows such an image.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    room: int
    primary: bool = False
    extended: bool = False

    @property
    def nbytes(self) -> int:
        """Size of the data without padding."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def structure(self) -> list[Card]:
        """Cards that must open the header."""
        first = (
            Card("SIMPLE", True, "conforms to FITS standard")
            if self.primary
            else Card("XTENSION", "IMAGE", "image extension")
        )
        cards = [
            first,
            Card("BITPIX", _BITPIX[self.dtype], "bits per pixel"),
            Card("NAXIS", len(self.shape), "number of axes"),
        ]
        for axis, size in enumerate(reversed(self.shape), start=1):
            cards.append(Card(f"NAXIS{axis}", size, f"length of axis {axis}"))
        if self.primary:
            return [*cards, Card("EXTEND", self.extended, "whether extensions follow")]
        return [
            *cards,
            Card("PCOUNT", 0, "no varying arrays"),
            Card("GCOUNT", 1, "one group"),
            Card("EXTNAME", self.name, "extension name"),
            Card("EXTVER", 1, "extension version"),
        ]


class FitsFile:
    """Writes one file; use it in a ``with`` block, call `finish` at its end, then `publish`.

    Leaving the block without `publish` removes the side file.  A process that is killed leaves
    it, under a name that no reader takes for the product; the next writer of that product
    removes it.

    Parameters
    ----------
    path : path
        The file to appear.
    primary_room : int
        2880-byte blocks for a primary header without data; 0 where the first image is primary.
    images : sequence of Image
        In the order of the file.
    tail : bytes
        Whole HDUs that follow the images.
    overwrite : bool
        Whether a file that is there already may be replaced.

    Raises
    ------
    StoreError
        If the file is there already, or the disk is full, or the folder cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        primary_room: int,
        images: Sequence[Image],
        tail: bytes = b"",
        *,
        overwrite: bool,
    ) -> None:
        self._path, self._primary_room, self._overwrite = path, primary_room, overwrite
        self._images = {image.name: image for image in images}
        self._header_at, self._sums = {}, dict.fromkeys(self._images, 0)
        end = primary_room * BLOCK
        for image in images:
            self._header_at[image.name] = end
            end += image.room * BLOCK + _padded(image.nbytes)
        self._tail, self._tail_at, self._size = tail, end, end + len(tail)
        self._part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        self._fd, self._adding = -1, Lock()

    def __enter__(self) -> Self:
        self.refuse_existing()
        with storage_errors(str(self._path)), alone_in(self._path.parent):
            remove_abandoned(self._path)
            self._fd = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            lock(self._fd)  # tells that its writer lives
        try:
            with storage_errors(str(self._path)):
                _claim(self._fd, self._size)
        except StoreError:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            self._discard()

    def write(
        self, name: str, block: npt.NDArray[np.generic], y0: int, x0: int, plane: int = 0
    ) -> None:
        """Write a block of pixels of one image; every pixel must be written once, by any thread.

        Parameters
        ----------
        name : str
            EXTNAME.
        block : ndarray, shape (ny, nx)
            Any dtype that fits; it is written big-endian.
        y0, x0 : int
            Position of the block in the image.
        plane : int
            Which plane of a cube.
        """
        image = self._images[name]
        ny, nx = image.shape[-2:]
        itemsize = image.dtype.itemsize
        stride = nx * itemsize
        rows = max(1, _STRIP // max(1, block.shape[1] * itemsize))
        total = 0
        for top in range(0, block.shape[0], rows):
            start = (plane * ny + y0 + top) * stride + x0 * itemsize
            total = self._write_strip(name, block[top : top + rows], start, stride, total)
        with self._adding:
            self._sums[name] = add_total(self._sums[name], total)

    def _write_strip(
        self, name: str, block: npt.NDArray[np.generic], start: int, stride: int, total: int
    ) -> int:
        """Write a few rows, the first at a byte of the data unit; they stay in the cache.

        Gives the checksum so far with theirs.
        """
        image = self._images[name]
        data, total = _as_stored(block, image.dtype, start, stride, total)
        at = self._header_at[name] + image.room * BLOCK + start
        with storage_errors(str(self._path)):
            if data.shape[1] * data.itemsize == stride:
                _write_at(self._fd, data, at)
            else:
                for row in data:
                    _write_at(self._fd, row, at)
                    at += stride
        return total

    def finish(self, primary: Sequence[Card], headers: Mapping[str, Sequence[Card]]) -> None:
        """Write the headers with their checksums, and sync; the file does not appear yet.

        Parameters
        ----------
        primary : sequence of Card
            Cards of a PRIMARY without data, after its structure.
        headers : mapping of str to sequence of Card
            By EXTNAME, the cards after the structure of each.

        Raises
        ------
        StoreError
            If a header needs more than its room, or the disk fails.
        """
        if self._primary_room:
            self._header("PRIMARY", 0, self._primary_room, [*primary_structure(), *primary], 0)
        for name, image in self._images.items():
            cards = [*image.structure(), *headers[name]]
            self._header(name, self._header_at[name], image.room, cards, self._sums[name])
        with storage_errors(str(self._path)):
            if self._tail:
                _write_at(self._fd, np.frombuffer(self._tail, dtype=np.uint8), self._tail_at)
            os.fsync(self._fd)

    def rename(self) -> None:
        """Let the finished file appear; see `publish`."""
        os.replace(self._part, self._path)
        os.close(self._fd)
        self._fd = -1

    def _header(self, name: str, start: int, room: int, cards: list[Card], datasum: int) -> None:
        content = checksummed(cards, room, datasum)
        if len(content) != room * BLOCK:
            raise StoreError(f"{self._path}: the header of {name} outgrew its {room} blocks")
        with storage_errors(str(self._path)):
            _write_at(self._fd, np.frombuffer(content, dtype=np.uint8), start)

    def refuse_existing(self) -> None:
        """Make sure that the file may be written.

        Raises
        ------
        StoreError
            If it is there already and may not be replaced, or is a folder.
        """
        refuse_existing(self._path, overwrite=self._overwrite)

    @property
    def path(self) -> Path:
        """The file to appear."""
        return self._path

    def _discard(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._part.unlink(missing_ok=True)


def publish(files: Sequence[FitsFile], outdated: Sequence[Path] = ()) -> None:
    """Let the finished files of one product appear.

    The first of several goes before the others are replaced and comes after them: a product
    that has its first file has all of them, of one making, whenever the process was killed.

    Parameters
    ----------
    files : sequence of FitsFile
        The one that readers are given the name of first.
    outdated : sequence of Path
        Files of a former product of that name, to be removed.

    Raises
    ------
    StoreError
        If one of them is there by now and may not be replaced, or the disk fails.
    """
    first, *others = files
    folder = first.path.parent
    with storage_errors(str(first.path)), alone_in(folder):
        for file in files:
            file.refuse_existing()
        if others or outdated:
            first.path.unlink(missing_ok=True)
            sync_folder(folder)
        for path in outdated:
            path.unlink(missing_ok=True)
        for file in others:
            file.rename()
        if others:
            sync_folder(folder)
        first.rename()
        sync_folder(folder)


def primary_structure() -> list[Card]:
    """Cards that open a primary header without data."""
    return [
        Card("SIMPLE", True, "conforms to FITS standard"),
        Card("BITPIX", 8, "array data type"),
        Card("NAXIS", 0, "no data here"),
        Card("EXTEND", True, "the data are in extensions"),
    ]


def _as_stored(
    block: npt.NDArray[np.generic], dtype: np.dtype[Any], start: int, stride: int, total: int
) -> tuple[npt.NDArray[np.generic], int]:
    """Give pixels as they stand in the file, and the checksum with them."""
    if dtype.itemsize == _WORD.itemsize and np.little_endian:
        words = np.ascontiguousarray(block, dtype.newbyteorder("=")).view(_WORD)
        swapped = np.empty_like(words)
        return swapped, add_total(total, swap_words(words, swapped))
    stored = np.ascontiguousarray(block, dtype)
    return stored, add_rows(total, stored, start, stride)


def _padded(nbytes: int) -> int:
    return -(-nbytes // BLOCK) * BLOCK


def _claim(fd: int, size: int) -> None:
    """Claim room on the disk, filled with zeros, which are also the padding of the data."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)


def _write_at(fd: int, data: npt.NDArray[np.generic], start: int) -> None:
    left = data.data.cast("B")
    while left:
        done = os.pwrite(fd, left, start)
        left, start = left[done:], start + done
