"""Pixels of a chip by detector rows: science, error, data quality, and what is masked.

The one place where a record turns into arrays.  A file is opened, checked to be still the one
that the record was made from, read by byte range and closed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.fits import decode
from hapdask.observe.masks import read_mask_rows
from hapdask.observe.parts import ChipRecord, FileIdentity, PixelSource
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import ByteSource, open_source
from hapdask.observe.vignette import vignetted_rows


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
    ny, nx = chip.shape
    row0 = min(max(row0, 0), ny)
    row1 = min(max(row1, row0), ny)
    shape = (row1 - row0, nx)
    found = _read_arrays(exposure, chip, row0, shape)
    sci, err, dq = (found.get(name) for name in ("SCI", "ERR", "DQ"))
    if sci is None:
        raise InputError(exposure.url, "the record has no SCI array", ext=f"SCI,{chip.extver}")
    return ChipRows(
        _float32(sci),
        None if err is None else _float32(err),
        None if dq is None else _flags(dq, exposure.url, f"DQ,{chip.extver}"),
        _masked(chip, row0, row1),
    )


def _read_arrays(
    exposure: ExposureRecord, chip: ChipRecord, row0: int, shape: tuple[int, int]
) -> dict[str, NDArray[np.generic]]:
    """SCI, ERR and DQ where they are, each file opened once."""
    wanted = {"SCI": chip.sci, "ERR": chip.err, "DQ": chip.dq}
    files: dict[str, FileIdentity] = {}
    for pixels in wanted.values():
        if pixels is not None:
            files[pixels.url or exposure.url] = pixels.identity or exposure.identity
    found: dict[str, NDArray[np.generic]] = {}
    for url, identity in files.items():
        with open_source(url) as source:
            _require_same(source, identity)
            for name, pixels in wanted.items():
                if pixels is not None and (pixels.url or exposure.url) == url:
                    found[name] = _read(source, pixels, row0, shape, f"{name},{chip.extver}")
    return found


def _masked(chip: ChipRecord, row0: int, row1: int) -> NDArray[np.bool_] | None:
    bad = vignetted_rows(chip, row0, row1)
    for mask in chip.masks:
        rows = read_mask_rows(mask, chip.shape, row0, row1)
        bad = rows if bad is None else bad | rows
    return bad


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
