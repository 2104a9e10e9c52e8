"""Pixels of a chip by detector rows: science, error and data quality with masks merged in.

The one place where a record turns into arrays.  A file is opened, checked to be still the one
that the record was made from, read by byte range and closed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.fits import decode
from hapdask.observe.masks import read_mask_rows
from hapdask.observe.parts import ChipRecord, FileIdentity, PixelSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import ByteSource, open_source

#: DQ bit set where a mask says bad: AstroDrizzle's bit for cosmic rays.
MASKED = 4096

Rows = tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.uint16] | None]


def read_chip_rows(exposure: ExposureRecord, chip: ChipRecord, row0: int, row1: int) -> Rows:
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
    sci : ndarray of float32, shape (row1 - row0, nx), unit of the exposure
        Neither sky nor flux factor applied.
    err : ndarray of float32 or None
        None where the file has no ERR.
    dq : ndarray of uint16 or None
        Bit 4096 set where a mask of the record says bad; None with neither DQ nor mask.

    Raises
    ------
    InputError
        If the file is gone, truncated or not the one that the record was made from, or a mask
        is not the one of the record.
    """
    ny, nx = chip.shape
    row0 = min(max(row0, 0), ny)
    row1 = min(max(row1, row0), ny)
    shape = (row1 - row0, nx)
    with open_source(exposure.url) as source:
        _require_same(source, exposure.identity)
        sci, err, dq = (
            None if s is None else _read(source, s, row0, shape, f"{name},{chip.extver}")
            for s, name in ((chip.sci, "SCI"), (chip.err, "ERR"), (chip.dq, "DQ"))
        )
    if sci is None:
        raise InputError(exposure.url, "the record has no SCI array", ext=f"SCI,{chip.extver}")
    flags = None if dq is None else _flags(dq, exposure.url, f"DQ,{chip.extver}")
    for mask in chip.masks:
        if flags is None:
            flags = np.zeros(shape, np.uint16)
        bad = read_mask_rows(mask, chip.shape, row0, row1)
        flags[bad] |= np.uint16(MASKED)
    return _float32(sci), None if err is None else _float32(err), flags


def _require_same(source: ByteSource, identity: FileIdentity) -> None:
    if (source.size, source.stamp) != (identity.size, identity.stamp):
        raise InputError(
            source.url,
            "the file has changed since it was opened",
            remedy="open the exposures again",
        )


def _read(
    source: ByteSource, pixels: PixelSource, row0: int, shape: tuple[int, int], ext: str
) -> NDArray[np.generic]:
    if pixels.constant is not None:
        return np.full(shape, pixels.constant)
    row_bytes = shape[1] * np.dtype(pixels.dtype).itemsize
    raw = source.read_array(pixels.offset + row0 * row_bytes, shape[0] * row_bytes, ext=ext)
    return decode(raw, pixels.dtype, pixels.bscale, pixels.bzero).reshape(shape)


def _float32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _flags(values: NDArray[np.generic], url: str, ext: str) -> NDArray[np.uint16]:
    """DQ as 16 unsigned bits, whatever number type the file chose; must be writeable."""
    flags = values.astype(np.int64) & 0xFFFF if values.dtype.kind == "f" else values
    out: NDArray[np.uint16] = flags.astype(np.uint16)
    if values.dtype.kind == "f" and not np.array_equal(out, values):
        raise InputError(url, "DQ values that are not whole numbers from 0 to 65535", ext=ext)
    return out
