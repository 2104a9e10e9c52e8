"""Pixels of a chip by detector rows: science, error, data quality, and what is masked.

The one place where a record turns into arrays.  A file is opened, checked to be still the one
that the record was made from, read by byte range and closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.fits import scaled
from hapdask.observe.masks import BLOCK_ROWS, OpenMasks
from hapdask.observe.parts import ChipRecord, FileIdentity, PixelSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import ByteSource, open_source
from hapdask.observe.vignette import vignetted_rows

#: Rows that are read together.
_BAND = 32


class ChipRows(NamedTuple):
    """Detector rows of a chip as they are in the file: neither sky nor flux factor applied.

    Attributes
    ----------
    sci : ndarray of float32, shape (rows, nx), unit of the exposure
    err : ndarray of float32 or None, same shape and unit
        None where the file has no ERR.
    dq : ndarray of uint16 or None
        The file's flags; None where it has no DQ.
    masked : ndarray of bool or None
        True where a mask of the record says bad, or where no light falls; apart from ``dq``, for
        it holds whatever flags are accepted.  None where nothing is masked.
    """

    sci: NDArray[np.float32]
    err: NDArray[np.float32] | None
    dq: NDArray[np.uint16] | None
    masked: NDArray[np.bool_] | None


class ChipReader:
    """A chip with its files open; made by `open_chip`."""

    def __init__(
        self,
        exposure: ExposureRecord,
        chip: ChipRecord,
        sources: dict[str, ByteSource],
        stack: ExitStack,
    ) -> None:
        self._exposure, self._chip, self._sources = exposure, chip, sources
        self._masks = OpenMasks(chip.masks, chip.shape, stack)
        self._scratch = np.empty(0, np.uint8)

    @property
    def remote(self) -> bool:
        """Whether every read asks a server, so that few are better than many."""
        return any(source.remote for source in self._sources.values())

    def read(
        self,
        row0: int,
        row1: int,
        columns: tuple[int, int] | None = None,
        *,
        errors: bool = True,
        flags: bool = True,
    ) -> ChipRows:
        """Read detector rows.

        Parameters
        ----------
        row0, row1 : int
            First row and the row after the last, 0-based; cut to the chip.
        columns : tuple of int, optional
            First column and the column after the last, within the chip.
        errors : bool
            Without, ERR is not read and None.
        flags : bool
            Without, neither DQ nor masks are read, and both are None.

        Raises
        ------
        InputError
            If a file is truncated, or a mask is not the one of the record.
        """
        chip, url = self._chip, self._exposure.url
        ny = chip.shape[0]
        row0 = min(max(row0, 0), ny)
        row1 = min(max(row1, row0), ny)
        sci = self._array("SCI", chip.sci, row0, row1, columns)
        err = self._array("ERR", chip.err if errors else None, row0, row1, columns)
        dq = self._array("DQ", chip.dq if flags else None, row0, row1, columns)
        if sci is None:
            raise InputError(url, "the record has no SCI array", ext=f"SCI,{chip.extver}")
        masked = self._masked(row0, row1) if flags else None
        if masked is not None and columns is not None:
            masked = masked[:, columns[0] : columns[1]]
        return ChipRows(
            _float32(sci),
            None if err is None else _float32(err),
            None if dq is None else _flags(dq, url, f"DQ,{chip.extver}"),
            masked,
        )

    def read_bad(self, good_bits: int | None) -> NDArray[np.bool_]:
        """Whole chip: True where DQ has a flag outside ``good_bits``, or a mask says bad.

        SCI is not read: a NaN without a flag goes unseen.

        Raises
        ------
        InputError
            As `read`.
        """
        chip = self._chip
        bad = np.zeros(chip.shape, np.bool_)
        for row0 in range(0, chip.shape[0], BLOCK_ROWS):
            row1 = min(row0 + BLOCK_ROWS, chip.shape[0])
            dq = self._array("DQ", chip.dq, row0, row1, None)
            if dq is not None and good_bits is not None:
                flags = _flags(dq, self._exposure.url, f"DQ,{chip.extver}")
                np.not_equal(flags & np.uint16(~good_bits & 0xFFFF), 0, out=bad[row0:row1])
            masked = self._masked(row0, row1)
            if masked is not None:
                bad[row0:row1] |= masked
        return bad

    def _array(
        self,
        name: str,
        pixels: PixelSource | None,
        row0: int,
        row1: int,
        columns: tuple[int, int] | None,
    ) -> NDArray[np.generic] | None:
        if pixels is None:
            return None
        nx = self._chip.shape[1]
        shape = (row1 - row0, nx)
        if pixels.constant is not None:
            return np.full(
                (shape[0], nx if columns is None else columns[1] - columns[0]), pixels.constant
            )
        left, right = columns or (0, nx)
        source = self._sources[pixels.url or self._exposure.url]
        dtype = np.dtype(pixels.dtype)
        native = np.empty((shape[0], right - left), dtype.newbyteorder("="))
        # A remote file is asked once; of a local one a few rows at a time stay in the cache.
        step = max(shape[0] if source.remote else _BAND, 1)
        for row in range(0, shape[0], step):
            count = min(step, shape[0] - row)
            raw = self._scratch_of(count * nx * dtype.itemsize)
            start = pixels.offset + (row0 + row) * nx * dtype.itemsize
            source.read_into(raw, start, ext=f"{name},{self._chip.extver}")
            native[row : row + count] = raw.view(dtype).reshape(count, nx)[:, left:right]
        return scaled(native, pixels.bscale, pixels.bzero)

    def _masked(self, row0: int, row1: int) -> NDArray[np.bool_] | None:
        dark = vignetted_rows(self._chip, row0, row1)
        bad = self._masks.rows(row0, row1)
        return bad if dark is None else dark if bad is None else bad | dark

    def _scratch_of(self, size: int) -> NDArray[np.uint8]:
        """Give room for bytes as they stand in the file; the same one every time."""
        if self._scratch.size < size:
            self._scratch = np.empty(size, np.uint8)
        return self._scratch[:size]


@contextmanager
def open_chip(exposure: ExposureRecord, chip: ChipRecord) -> Iterator[ChipReader]:
    """Open the files of a chip, for the length of a ``with`` block.

    Raises
    ------
    InputError
        If a file is gone, or not the one that the record was made from.
    """
    with ExitStack() as stack:
        sources = {}
        for url, identity in _files(exposure, chip).items():
            sources[url] = stack.enter_context(open_source(url))
            _require_same(sources[url], identity)
        yield ChipReader(exposure, chip, sources, stack)


def _files(exposure: ExposureRecord, chip: ChipRecord) -> dict[str, FileIdentity]:
    """Files that the pixels of a chip come from."""
    return {
        pixels.url or exposure.url: pixels.identity or exposure.identity
        for pixels in (chip.sci, chip.err, chip.dq)
        if pixels is not None
    }


def check_unchanged(exposure: ExposureRecord) -> None:
    """Check that the files of an exposure are still those that the record was made from.

    Raises
    ------
    InputError
        If one is gone, or has changed.
    """
    files: dict[str, FileIdentity] = {}
    for chip in exposure.chips:
        files |= _files(exposure, chip)
    for url, identity in files.items():
        with open_source(url) as source:
            _require_same(source, identity)


def read_chip_rows(exposure: ExposureRecord, chip: ChipRecord, row0: int, row1: int) -> ChipRows:
    """Read detector rows of one chip.

    Parameters
    ----------
    exposure : ExposureRecord
    chip : ChipRecord
        One of its chips.
    row0, row1 : int
        First row and the row after the last, 0-based; cut to the chip.

    Returns
    -------
    ChipRows

    Raises
    ------
    InputError
        If a file is gone, truncated or not the one that the record was made from, or a mask
        is not the one of the record.
    """
    with open_chip(exposure, chip) as reader:
        return reader.read(row0, row1)


def _require_same(source: ByteSource, identity: FileIdentity) -> None:
    if (source.size, source.stamp) != (identity.size, identity.stamp):
        raise InputError(
            source.url,
            "the file has changed since it was opened",
            remedy="open the exposures again",
        )


def _float32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _flags(values: NDArray[np.generic], url: str, ext: str) -> NDArray[np.uint16]:
    """DQ as 16 unsigned bits, whatever number type the file chose; must be writeable."""
    if values.dtype in (np.int16, np.uint16):
        return values.view(np.uint16)
    flags = values.astype(np.int64) & 0xFFFF if values.dtype.kind == "f" else values
    out: NDArray[np.uint16] = flags.astype(np.uint16)
    if values.dtype.kind == "f" and not np.array_equal(out, values):
        raise InputError(url, "DQ values that are not whole numbers from 0 to 65535", ext=ext)
    return out
